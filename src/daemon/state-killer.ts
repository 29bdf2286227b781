import type { Pinhole } from '../pinhole/pinhole.ts';
import type { ControlEnds } from './platform/platform.ts';

export interface StateKiller {
  add(closed: readonly Pinhole[]): void;
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
  control: Pick<ControlEnds, 'killStates'>,
  complain: (text: string) => void,
): StateKiller {
  let waiting: Pinhole[] = [];
  let tries = 0;
  let timer: NodeJS.Timeout | null = null;
  let rest = KILL_AFTER;

  function flush(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (waiting.length === 0) return;
    try {
      const startedAt = performance.now();
      control.killStates(waiting);
      rest = Math.max(KILL_AFTER, KILL_REST * (performance.now() - startedAt));
      waiting = [];
      tries = 0;
    } catch (error) {
      if (++tries < KILL_TRIES) {
        timer = setTimeout(flush, KILL_AGAIN);
        return;
      }
      complain(`states of ${waiting.length} closed pinholes may be left: ${(error as Error).message}`);
      waiting = [];
      tries = 0;
    }
  }

  return {
    add(closed: readonly Pinhole[]) {
      if (closed.length === 0) return;
      waiting.push(...closed);
      timer ??= setTimeout(flush, rest);
    },
    flush,
    end() {
      if (timer !== null) clearTimeout(timer);
    },
  };
}
