import type { DataPathStatus } from '../daemon/messages.ts';
import type { GroupStatus } from '../daemon/peers/group.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import type { GroupResult } from './protocol.ts';
import { seconds } from './units.ts';

/** Names of the other firewalls that are there. */
export function otherNames({ members, self }: Pick<GroupStatus, 'members' | 'self'>): string[] {
  return members.filter(({ machine }) => machine !== self.machine).map(({ name }) => name);
}

/** How the sharing of calls stands; null where none are shared. */
export function groupOf(
  { group, clock }: Pick<RunningDaemon, 'group' | 'clock'>,
  { counters }: DataPathStatus,
): GroupResult | null {
  if (group === null) return null;
  const status = group.status();
  const { state, since, why, self, own, others, owners, waiting, lag, contact, refused } = status;
  const now = clock();
  return {
    ...{ state, for: seconds(now - since), why, self: self.name },
    others: otherNames(status),
    calls: { own, others },
    owners,
    ...{
      waiting,
      lag: lag === null ? null : seconds(lag),
      contact: contact === null ? null : seconds(now - contact),
    },
    ...{ refused, waited: counters.waited, overdue: counters.overdue },
  };
}
