import type { DataPathStatus } from '../daemon/messages.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import type { GroupResult } from './protocol.ts';
import { seconds } from './units.ts';

/** How the sharing of calls stands; null where none are shared. */
export function groupOf({ group, clock }: RunningDaemon, { counters }: DataPathStatus): GroupResult | null {
  if (group === null) return null;
  const { state, since, why, members, self, own, others, waiting, lag, contact, refused } = group.status();
  const now = clock();
  return {
    ...{ state, for: seconds(now - since), why, self: self.name },
    others: members.filter(({ machine }) => machine !== self.machine).map(({ name }) => name),
    calls: { own, others },
    ...{
      waiting,
      lag: lag === null ? null : seconds(lag),
      contact: contact === null ? null : seconds(now - contact),
    },
    ...{ refused, waited: counters.waited, overdue: counters.overdue },
  };
}
