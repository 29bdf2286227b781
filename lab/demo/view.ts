import type { Style } from '../../src/report/style.ts';
import type { CallRow, Calls } from './calls.ts';
import type { CallEvent } from './daemon.ts';

/** Named counters of the administrator's ruleset, in packets. */
export interface Counters {
  readonly sip: number;
  readonly media: number;
  readonly dropped: number;
}

/** What is shown while the calls go on. */
export interface View {
  /** Something was logged. */
  event(event: CallEvent): void;
  /** Draws what is now; called a few times a second. */
  draw(counters: Counters): void;
  /** Draws for the last time and gives the terminal back. */
  end(): void;
}

/** ms in one column of a strip. */
const COLUMN = 500;
const COLUMNS = 36;
/** For no, one, two pinholes and so on. */
const BARS = ' ▂▄▆█';
/** Lines around the calls. */
const AROUND = 6;

interface ViewOptions {
  readonly calls: Calls;
  readonly style: Style;
  /** ms since the start. */
  readonly clock: () => number;
  readonly stream: NodeJS.WriteStream;
}

/** A picture that is drawn again and again on a terminal, lines elsewhere. */
export function createView(options: ViewOptions): View {
  return options.stream.isTTY === true && process.env['TERM'] !== 'dumb' ? picture(options) : lines(options);
}

function lines({ stream, clock }: ViewOptions): View {
  return {
    event({ event, callId, reason, pinholes }) {
      if (event !== 'opened' && event !== 'closed') return;
      const list = pinholes.map(({ address, ports, sources }) => {
        const port = ports[0] === ports[1] ? `${ports[0]}` : ports.join('-');
        return event === 'closed'
          ? `${address}:${port}`
          : `${address}:${port} from ${[sources].flat().join(', ')}`;
      });
      const why = reason === null ? '' : `: ${reason}`;
      const time = `${(clock() / 1000).toFixed(2).padStart(6)} s`;
      stream.write(`${time}  ${callId.padEnd(17)} ${event} ${list.join('; ')}${why}\n`);
    },
    draw() {},
    end() {},
  };
}

function picture({ calls, style, clock, stream }: ViewOptions): View {
  let drawn = 0;
  let counters: Counters = { sip: 0, media: 0, dropped: 0 };

  function draw(rows: readonly CallRow[]): void {
    const text = [
      style.quiet(`  call              pinholes open, ${COLUMN / 1000} s a column`),
      ...rows.map((row) => `  ${line(row, style, clock())}`),
      '',
      `  ${total(calls, counters, style)}`,
    ];
    const back = drawn === 0 ? '' : `\x1b[${drawn}A`;
    stream.write(`${back}${text.map((one) => `${one}\x1b[K\n`).join('')}\x1b[J`);
    drawn = text.length;
  }

  stream.write('\x1b[?25l');
  return {
    event() {},
    draw(now) {
      counters = now;
      draw(calls.rows.slice(-Math.max(1, stream.rows - AROUND)));
    },
    end() {
      draw(calls.rows.slice(-Math.max(1, stream.rows - AROUND)));
      stream.write('\x1b[?25h');
    },
  };
}

/** `hold, resume   ▂▂▄▄▄▂▂▂▄▄▄▄          closed: bye` */
function line({ name, history, open, closed }: CallRow, style: Style, now: number): string {
  const strip = stripOf(history, now).padEnd(COLUMNS);
  const state =
    closed === null ? style.good(`${open} open`) : style.quiet(`${style.good('✓')} closed: ${closed}`);
  return `${name.padEnd(14)}  ${closed === null ? style.good(strip) : style.quiet(strip)}  ${state}`;
}

/** One character for each interval, as high as the most pinholes that were open in it. */
function stripOf(history: CallRow['history'], now: number): string {
  let strip = '';
  let next = 0;
  let open = 0;
  for (let column = 0; column < COLUMNS && column * COLUMN <= now; column++) {
    let most = open;
    for (; next < history.length && history[next]![0] < (column + 1) * COLUMN; next++) {
      open = history[next]![1];
      most = Math.max(most, open);
    }
    strip += BARS[Math.min(most, BARS.length - 1)];
  }
  return strip;
}

function total(calls: Calls, { media, dropped }: Counters, style: Style): string {
  return [
    `${style.strong(String(calls.open).padStart(3))} pinholes open`,
    `media ${style.strong(number(media))}`,
    `stranger ${style.strong(number(dropped))} blocked`,
  ].join('    ');
}

/** `12,345` */
export function number(value: number): string {
  return value.toLocaleString('en-US');
}
