/** A terminal that one program has for itself. */
export interface Screen {
  readonly columns: number;
  readonly rows: number;
  /** Puts these lines on the screen from the top, in place of what was there. */
  draw(lines: readonly string[]): void;
  /** Gives the terminal back as it was. */
  leave(): void;
}

interface ScreenOptions {
  readonly input: NodeJS.ReadStream;
  readonly output: NodeJS.WriteStream;
  /** A character, `\x03` for Ctrl-C, or one of `SPECIAL`. */
  readonly onKey: (key: string) => void;
  readonly onResize: () => void;
}

/** ECMA-48 and xterm: alternate screen, cursor, erase. */
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const ERASE_REST_OF_LINE = '\x1b[K';
const ERASE_BELOW = '\x1b[J';

/** Takes the terminal over: raw input, a screen of its own. Whatever ends the process gives it back. */
export function openScreen({ input, output, onKey, onResize }: ScreenOptions): Screen {
  let left = false;
  const onData = (bytes: Buffer | string) => {
    for (const key of keysOf(bytes.toString())) onKey(key);
  };
  const onExit = () => leave();

  function leave(): void {
    if (left) return;
    left = true;
    process.off('exit', onExit);
    output.off('resize', onResize);
    input.off('data', onData);
    input.setRawMode(false);
    input.pause();
    output.write(LEAVE);
  }

  process.on('exit', onExit);
  output.on('resize', onResize);
  input.setRawMode(true);
  input.on('data', onData);
  input.resume();
  output.write(ENTER);

  return {
    get columns() {
      return output.columns || 80;
    },
    get rows() {
      return output.rows || 24;
    },
    draw(lines) {
      if (left) return;
      const text = lines.map((line) => line + ERASE_REST_OF_LINE).join('\r\n');
      output.write(`${HOME}${text}${ERASE_BELOW}`);
    },
    leave,
  };
}

/** Keys without a character of their own, by what a terminal sends (ECMA-48, xterm). */
const SPECIAL: Readonly<Record<string, string>> = {
  '\x1b[A': 'up',
  '\x1bOA': 'up',
  '\x1b[B': 'down',
  '\x1bOB': 'down',
  '\x1b[5~': 'page up',
  '\x1b[6~': 'page down',
  '\x1b[D': 'left',
  '\x1bOD': 'left',
  '\x1b[H': 'home',
  '\x1bOH': 'home',
  '\x1b[F': 'end',
  '\x1bOF': 'end',
  '\x1b': 'escape',
};

/** Single characters and names of `SPECIAL`; what other function keys send (ESC [ ...) is left out. */
export function keysOf(text: string): string[] {
  return (text.match(/\x1b(?:[[O][0-9;]{0,16}.)?|[^\x1b]/gsu) ?? []).flatMap((one) =>
    one.startsWith('\x1b') ? (SPECIAL[one] ?? []) : one,
  );
}
