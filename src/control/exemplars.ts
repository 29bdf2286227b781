import type { RefusalReason } from '../call/refusal.ts';
import type { Settings } from '../config/schema.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import type { CallName } from '../inspector/happening.ts';
import { partyName } from '../inspector/party.ts';
import { printable } from '../printable.ts';
import { seconds } from './units.ts';

/** The call that made a counter grow last (OpenMetrics 1.0, 4.6 Exemplars). */
export interface Exemplar {
  readonly labelSet: Readonly<Record<string, string>>;
  /** What the counter grew by. */
  readonly value: 1;
  /** Seconds since the epoch. */
  readonly timestamp: number;
}

/** What counters count of calls. */
export type Counted = 'started' | 'no-audio' | RefusalReason;

export interface Exemplars {
  /** Undefined where nothing of the kind has happened in a call. */
  of(what: Counted): Exemplar | undefined;
  close(): void;
}

/** Characters of all names and values of an exemplar together, by the same section. */
const LONGEST = 128;
const LONGEST_NAME = 24;

/**
 * Remembers of each kind of event the last call: `legId` always, its Call-ID and its parties as far as the log may have them
 * (`log.call-id`, `log.parties`). `epoch` is that of the daemon's clock, in ms.
 */
export function keepExemplars(
  daemon: Pick<RunningDaemon, 'settings' | 'subscribe'>,
  epoch: () => number,
): Exemplars {
  const last = new Map<Counted, { readonly call: CallName; readonly at: number }>();
  const close = daemon.subscribe((occasions) => {
    for (const { happenings } of occasions) {
      for (const one of happenings) {
        const { type, at } = one;
        if (type === 'call' && one.what === 'started') last.set('started', { call: one.leg, at });
        if (type === 'audio' && one.missing.length > 0) last.set('no-audio', { call: one.call, at });
        if (type === 'refused' && one.call !== null) last.set(one.refusal.reason, { call: one.call, at });
      }
    }
  });
  return {
    of(what) {
      const found = last.get(what);
      if (found === undefined) return undefined;
      const labelSet = labelsOf(found.call, daemon.settings().log);
      return { labelSet, value: 1, timestamp: seconds(epoch() + found.at) };
    },
    close,
  };
}

function labelsOf(
  { legId, callId, from, to }: CallName,
  { callId: showing, parties }: Settings['log'],
): Record<string, string> {
  const name = (header: string) => printable(partyName(header), LONGEST_NAME - '...'.length);
  const labels: Record<string, string> = {
    leg_id: legId,
    ...(parties === 'plain' && { caller: name(from), callee: name(to) }),
  };
  const room = LONGEST - lengthOf(labels) - 'call_id'.length;
  if (showing === 'plain') labels['call_id'] = printable(callId, room - '...'.length);
  return labels;
}

function lengthOf(labels: Readonly<Record<string, string>>): number {
  return Object.entries(labels).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
}
