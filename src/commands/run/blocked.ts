import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BlockedFlow, BlockedMedia } from '../../control/blocked.ts';
import { RequestError } from '../../control/protocol.ts';
import { readInterfaceAddresses } from '../../daemon/interface-addresses.ts';
import { followed } from '../../daemon/platform/observing.ts';
import type { RecordedMessage } from '../../daemon/recording.ts';
import type { RunningDaemon } from '../../daemon/serve.ts';
import type { History } from '../../history/history.ts';
import type { BlockedResult } from '../../report/live/blocked.ts';
import type { explainBlocked } from '../../report/live/why-blocked.ts';

/** Flows that are explained in one answer: each is a replay of a call, and some more of what would let it pass. */
const MOST_EXPLAINED = 50;
/** Recorded messages that are looked at before others have their turn. */
const AT_A_TIME = 500;

/**
 * What says why media was dropped: a replay of its call. It is large, and loaded where `blocked.watch` asks for it; at the start,
 * as the daemon may have another root directory later.
 */
export async function loadExplainer(watch: boolean): Promise<typeof explainBlocked | null> {
  return watch ? (await import('../../report/live/why-blocked.ts')).explainBlocked : null;
}

/**
 * Media that was dropped near calls, the latest first, with why; of one leg, or of all (null). `epoch`: that of the daemon's
 * clock, in ms. Throws RequestError where nobody looks at it.
 */
export async function blockedNow(
  explain: typeof explainBlocked | null,
  legIds: ReadonlySet<string> | null,
  blocked: BlockedMedia,
  daemon: Pick<RunningDaemon, 'blocked' | 'recording' | 'settings'>,
  history: Pick<History, 'get'>,
  epoch: number,
): Promise<BlockedResult[]> {
  if (daemon.blocked === null || explain === null) {
    throw new RequestError('not-watched', 'nobody looks at what the ruleset drops: blocked.watch is false');
  }
  const flows = blocked
    .flows()
    .filter((flow) => legIds === null || flow.legIds.some((legId) => legIds.has(legId)))
    .slice(0, MOST_EXPLAINED);
  const named = flows.flatMap((flow) => {
    const report = reportOf(flow, legIds, history);
    return report === null ? [] : [{ flow, report }];
  });
  const messages = await messagesOf(new Set(named.map(({ report }) => report.callId)), daemon);
  const addresses = Object.fromEntries(readInterfaceAddresses());
  const results: BlockedResult[] = [];
  for (const { flow, report } of named) {
    const settings = followed(daemon.settings());
    const own = messages.get(report.callId) ?? [];
    results.push(explain(flow, report, own, settings, addresses, epoch));
    await nextTurn();
  }
  return results;
}

/** The call that it is shown for: of those asked for the first. */
function reportOf(
  { legIds: all }: BlockedFlow,
  wanted: ReadonlySet<string> | null,
  history: Pick<History, 'get'>,
) {
  const legId = all.find((one) => wanted === null || wanted.has(one));
  return legId === undefined ? null : (history.get(legId)?.report ?? null);
}

async function messagesOf(
  callIds: ReadonlySet<string>,
  { recording }: Pick<RunningDaemon, 'recording'>,
): Promise<Map<string, RecordedMessage[]>> {
  const found = new Map<string, RecordedMessage[]>();
  let looked = 0;
  for (const message of callIds.size === 0 ? [] : (recording?.messages() ?? [])) {
    if (++looked % AT_A_TIME === 0) await nextTurn();
    if (!callIds.has(message.callId)) continue;
    const list = found.get(message.callId);
    if (list === undefined) found.set(message.callId, [message]);
    else list.push(message);
  }
  return found;
}
