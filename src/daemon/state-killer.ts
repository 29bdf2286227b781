import type { Pinhole } from '../pinhole/pinhole.ts';
import type { ControlEnds } from './platform/platform.ts';

export interface StateKiller {
  add(closed: readonly Pinhole[]): void;
  /** Those that bring a translation: states from before them are killed, as soon as may be. */
  opened(pinholes: readonly Pinhole[]): void;
  /** Kills what is waiting, now. */
  flush(): void;
  end(): void;
}

/** Least ms in which closed pinholes are gathered before their states are killed in one go. */
const KILL_AFTER = 20;
/** How many times what the last killing took is waited before the next: it walks all states and takes a core. */
const KILL_REST = 9;
const KILL_AGAIN = 200;
const KILL_TRIES = 10;

/** Kills the states of closed pinholes, some at a time, and tries again when the filter refuses. */
export function createStateKiller(
  control: Pick<ControlEnds, 'killStates' | 'killUntranslated'>,
  complain: (text: string) => void,
): StateKiller {
  let waiting: Pinhole[] = [];
  let fresh: Pinhole[] = [];
  let freeAt = 0;
  let tries = 0;
  let timer: NodeJS.Timeout | null = null;
  let rest = KILL_AFTER;

  function flush(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (waiting.length + fresh.length === 0) return;
    try {
      const startedAt = performance.now();
      if (fresh.length > 0) control.killUntranslated?.(fresh);
      fresh = [];
      if (waiting.length > 0) control.killStates(waiting);
      const now = performance.now();
      rest = Math.max(KILL_AFTER, KILL_REST * (now - startedAt));
      freeAt = now + rest;
      waiting = [];
      tries = 0;
    } catch (error) {
      if (++tries < KILL_TRIES) {
        timer = setTimeout(flush, KILL_AGAIN);
        return;
      }
      complain(`states of ${waiting.length} closed pinholes may be left: ${(error as Error).message}`);
      waiting = [];
      fresh = [];
      tries = 0;
    }
  }

  return {
    add(closed: readonly Pinhole[]) {
      if (closed.length === 0) return;
      waiting.push(...closed);
      timer ??= setTimeout(flush, rest);
    },
    opened(pinholes) {
      if (control.killUntranslated === undefined) return;
      const own = pinholes.filter(
        ({ direction, translation }) => direction === 'in' && translation?.by === 'pinhole',
      );
      if (own.length === 0) return;
      fresh.push(...own);
      timer ??= setTimeout(flush, Math.max(0, freeAt - performance.now()));
    },
    flush,
    end() {
      if (timer !== null) clearTimeout(timer);
    },
  };
}
