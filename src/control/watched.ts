import { PARTIES } from '../call/wanted.ts';
import type { Note } from '../daemon/messages.ts';
import type { CallName, Happening, Occasion } from '../inspector/happening.ts';

/** What happened as `watch` tells it, in JSON: docs/control.md. Times are in seconds since the epoch. */
export type WatchedEvent = Readonly<Record<string, unknown>>;

/** `date` makes seconds since the epoch of ms of the daemon's clock. */
export function watchedEvents(
  occasions: readonly Occasion[],
  notes: readonly Note[],
  date: (at: number) => number,
): WatchedEvent[] {
  const happenings = occasions.flatMap((one) => one.happenings);
  const told = happenings.map((one) => watched(one, date)).filter((one) => one !== null);
  return [...notes.map(({ type, level, text }) => ({ type, level, text })), ...told];
}

/** Null for what only a history is made of. */
function watched(happening: Happening, date: (at: number) => number): WatchedEvent | null {
  const at = date(happening.at);
  switch (happening.type) {
    case 'call': {
      const { type, what, leg } = happening;
      return what === 'changed' ? null : { type, what, call: written(leg), reason: leg.endReason, at };
    }
    case 'pinhole': {
      const { type, what, call, pinhole, reason, openedAt } = happening;
      if (what === 'changed') return null;
      const why = what === 'opened' ? null : reason;
      return { type, what, call: written(call), pinhole, reason: why, openedAt: date(openedAt), at };
    }
    case 'refused': {
      const { type, call, refusal } = happening;
      const { reason, detail } = refusal;
      return { type, call: call && written(call), reason, detail, at };
    }
    case 'audio': {
      const { type, call, missing, since, causes } = happening;
      return {
        type,
        call: written(call),
        missing: missing.map((side) => PARTIES[side]),
        since: date(since),
        causes,
        at,
      };
    }
    case 'message':
    case 'malformed':
      return null;
  }
}

function written({ legId, callId, parties, from, to }: CallName): object {
  return { legId, callId, parties, from, to };
}
