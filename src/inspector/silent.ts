import type { Call } from '../call/call.ts';
import type { Held } from '../pinhole/table.ts';

/**
 * Calls that lost their pinholes because nothing was heard, as long as it may turn out that something was: by another firewall
 * that shares them, or here, since the last count before the pinholes closed.
 */
export interface Silent {
  /** The call has just gone idle, and had these. */
  note(call: Call, held: readonly Held[]): void;
  /** Media was seen in a pinhole that nobody here has, at `now` ms: the calls that had it go on. */
  heard(pinholeId: string, now: number): readonly Call[];
  /** Whether the call goes on since the last time that this was asked. */
  isBack(call: Call): boolean;
  forget(call: Call): void;
}

const NONE: readonly Call[] = [];

export function createSilent(): Silent {
  const byPinhole = new Map<string, Set<Call>>();
  const pinholesOf = new Map<Call, readonly string[]>();
  const back = new Set<Call>();

  function forget(call: Call): void {
    if (pinholesOf.size + back.size === 0) return;
    back.delete(call);
    for (const id of pinholesOf.get(call) ?? []) {
      const calls = byPinhole.get(id);
      calls?.delete(call);
      if (calls?.size === 0) byPinhole.delete(id);
    }
    pinholesOf.delete(call);
  }

  return {
    note(call, held) {
      forget(call);
      const ids = held.map(({ pinhole }) => pinhole.id);
      pinholesOf.set(call, ids);
      for (const id of ids) byPinhole.set(id, (byPinhole.get(id) ?? new Set()).add(call));
    },
    heard(pinholeId, now) {
      const found = byPinhole.get(pinholeId);
      if (found === undefined) return NONE;
      const calls = [...found].filter(({ idle, state }) => idle && state !== 'ended');
      for (const call of calls) {
        forget(call);
        back.add(call);
        call.idle = false;
        call.mediaAt = now;
        call.heardAt = now;
      }
      return calls;
    },
    isBack: (call) => back.delete(call),
    forget,
  };
}
