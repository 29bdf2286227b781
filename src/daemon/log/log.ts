import { type Logger, pino } from 'pino';
import type { Settings } from '../../config/schema.ts';
import { printableJson } from '../../printable.ts';
import type { LogLine } from './lines.ts';
import type { LogSink, Severity } from './sink.ts';

export type LogSettings = Settings['log'];

export interface Log {
  /** For what the daemon itself does; never left out. */
  readonly own: Logger;
  /** Writes a line that network traffic leads to, unless there were too many this second. */
  traffic(line: LogLine): void;
  /** Takes new settings, and opens the destination anew. */
  reload(settings: LogSettings): void;
  close(): void;
}

/** Whoever has refusals told by the thousand does not keep what opens and closes from being told. */
const REFUSED_SHARE = 0.75;

/** A logger over `sink`; `clock` in ms. The destination stays; level, format and rate may change. */
export function createLog(settings: LogSettings, sink: LogSink, clock: () => number): Log {
  let { format } = settings;
  const own = pino(
    { level: settings.level, base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    {
      write(json: string) {
        const line = JSON.parse(json) as Line;
        const severity = severityOf(line.level);
        sink.write(
          format === 'json' ? printableJson(json.trimEnd()) : textLine(line, severity, sink.wantsTime),
          severity,
        );
      },
    },
  );
  const limiter = createLimiter(() => rate, clock);
  let { rate } = settings;

  return {
    own,
    traffic({ severity, isRefusal, words }) {
      if (!own.isLevelEnabled(severity)) return;
      const leftOut = limiter.leftOut();
      if (leftOut > 0) own.warn(`${leftOut} lines were left out: more than log.rate (${rate} a second)`);
      if (!limiter.admit(isRefusal ? REFUSED_SHARE : 1)) return;
      const { text, fields } = words();
      own[severity](fields, text);
    },
    reload(next) {
      own.level = next.level;
      format = next.format;
      rate = next.rate;
      sink.reopen();
    },
    close: () => sink.close(),
  };
}

interface Line {
  readonly level: number;
  readonly time: string;
  readonly msg: string;
}

function severityOf(level: number): Severity {
  if (level >= 50) return 'error';
  if (level >= 40) return 'warn';
  return level >= 30 ? 'info' : 'debug';
}

function textLine({ time, msg }: Line, severity: Severity, wantsTime: boolean): string {
  const text = oneLine(msg);
  if (!wantsTime) return severity === 'info' ? text : `${severity}: ${text}`;
  return `${time} ${severity.padEnd(5)} ${text}`;
}

const LONGEST_LINE = 4000;

/** Control characters, also those of Unicode that end or turn a line, become \xNN or \uNNNN. */
export function oneLine(text: string): string {
  return text
    .slice(0, LONGEST_LINE)
    .replace(/[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, (character) => {
      const code = character.charCodeAt(0);
      return code > 0xff
        ? `\\u${code.toString(16).padStart(4, '0')}`
        : `\\x${code.toString(16).padStart(2, '0')}`;
    });
}

export interface Limiter {
  /** Whether one more may pass in this second, by which not more than this share of all have passed. */
  admit(share?: number): boolean;
  /** How many did not pass in an earlier second and were not told of yet. */
  leftOut(): number;
}

/** At most `rate()` in each second of `clock` (ms). */
export function createLimiter(rate: () => number, clock: () => number): Limiter {
  let second = Number.NEGATIVE_INFINITY;
  let passed = 0;
  let refused = 0;

  function turn(): void {
    const now = Math.floor(clock() / 1000);
    if (now === second) return;
    second = now;
    passed = 0;
  }

  return {
    admit(share = 1) {
      turn();
      if (passed >= Math.ceil(rate() * share)) {
        refused++;
        return false;
      }
      passed++;
      return true;
    },
    leftOut() {
      turn();
      if (passed > 0 || refused === 0) return 0;
      const count = refused;
      refused = 0;
      return count;
    },
  };
}
