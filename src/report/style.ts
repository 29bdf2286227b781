/** How text is made to stand out; without a terminal not at all. */
export interface Style {
  readonly strong: (text: string) => string;
  readonly quiet: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly caution: (text: string) => string;
  /** Columns that a line may have. */
  readonly width: number;
}

const NARROWEST = 60;
const WIDEST = 120;

/**
 * Colours (SGR, ECMA-48) and width for what is written to `stream`: colours only on a terminal, and not when
 * NO_COLOR is set to anything (https://no-color.org) or TERM is dumb. 80 columns where there is no terminal.
 */
export function terminalStyle(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  environment: Readonly<Record<string, string | undefined>>,
): Style {
  const colours = stream.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';
  const wrapped = (code: number) => (text: string) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);
  return {
    strong: wrapped(1),
    quiet: wrapped(2),
    good: wrapped(32),
    bad: wrapped(31),
    caution: wrapped(33),
    width: Math.min(WIDEST, Math.max(NARROWEST, stream.columns || 80)),
  };
}

const SGR = /\x1b\[[0-9]+m/g;

/** Columns that a text takes on a terminal. */
export function columnsOf(text: string): number {
  return text.replace(SGR, '').length;
}

/** Lines of at most `width` columns, broken at spaces, and within a word that is longer. */
export function wrapText(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  let columns = 0;
  for (const word of text.split(' ').flatMap((one) => pieces(one, width))) {
    const more = columnsOf(word);
    if (line !== '' && columns + 1 + more > width) {
      lines.push(line);
      line = '';
    }
    columns = line === '' ? more : columns + 1 + more;
    line = line === '' ? word : `${line} ${word}`;
  }
  lines.push(line);
  return lines;
}

/** Lines of at most `width` columns, what is broken off indented two columns more than the line that it is of. */
export function foldLine(line: string, width: number): string[] {
  if (columnsOf(line) <= width) return [line];
  const indent = /^ */.exec(line)![0].slice(0, Math.max(0, width - 10));
  const [first = '', ...rest] = wrapText(line.trimStart(), Math.max(1, width - indent.length - 2));
  return [indent + first, ...rest.map((one) => `${indent}  ${one}`)];
}

function pieces(word: string, width: number): string[] {
  if (columnsOf(word) <= width || word.includes('\x1b')) return [word];
  return Array.from({ length: Math.ceil(word.length / width) }, (_, i) =>
    word.slice(i * width, (i + 1) * width),
  );
}
