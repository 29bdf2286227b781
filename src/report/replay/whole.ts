import type { CallReport, MessageLine, PinholeReport } from '../../history/call-report.ts';
import type { FlowReport, ReplayReport } from './model.ts';

/** A call with all of its hops: the legs that proxies made of it, which share its Call-ID and From tag. */
export interface WholeCall {
  /** The legs as one: parties are the caller of the first and the callee of the last, messages are those of all. */
  readonly call: CallReport;
  /** In the order of their first messages. */
  readonly legs: readonly CallReport[];
  readonly flows: readonly FlowReport[];
}

interface WholeReport {
  readonly calls: readonly WholeCall[];
  /** Flows of no call. */
  readonly others: readonly FlowReport[];
}

/** Puts the legs of each call together, and every flow to its call. */
export function wholeCalls({ calls, media }: Pick<ReplayReport, 'calls' | 'media'>): WholeReport {
  const groups = groupsOf(calls);
  const byLeg = new Map<string, FlowReport[]>();
  const byCallId = new Map<string, FlowReport[]>();
  const lists = groups.map(() => [] as FlowReport[]);
  for (const [index, legs] of groups.entries()) {
    for (const { legId, callId } of legs) {
      byLeg.set(legId, lists[index]!);
      if (!byCallId.has(callId)) byCallId.set(callId, lists[index]!);
    }
  }
  const others: FlowReport[] = [];
  for (const flow of media) {
    (byLeg.get(flow.legId ?? '') ?? byCallId.get(flow.callId ?? '') ?? others).push(flow);
  }
  return {
    calls: groups.map((legs, index) => ({ call: joined(legs), legs, flows: lists[index]! })),
    others,
  };
}

/** Legs of one Call-ID and From tag that overlap in time, one beginning where another ends. */
function groupsOf(calls: readonly CallReport[]): CallReport[][] {
  const groups: CallReport[][] = [];
  const byName = new Map<string, CallReport[][]>();
  for (const call of calls) {
    const name = `${call.callId}\n${call.fromTag}`;
    const known = byName.get(name);
    const group = known?.find((legs) => legs.some((leg) => areHops(leg, call)));
    if (group !== undefined) {
      group.push(call);
      continue;
    }
    const made = [call];
    groups.push(made);
    if (known === undefined) byName.set(name, [made]);
    else known.push(made);
  }
  return groups;
}

function areHops(leg: CallReport, next: CallReport): boolean {
  if (leg.endedAt !== null && next.startedAt > leg.endedAt) return false;
  const [from, to] = leg.parties;
  const [nextFrom, nextTo] = next.parties;
  if (from === nextFrom && to === nextTo) return false;
  return to === nextFrom || nextTo === from || from === nextFrom;
}

function joined(legs: readonly CallReport[]): CallReport {
  const first = legs[0]!;
  if (legs.length === 1) return first;
  const origin = legs.find(({ parties }) => !legs.some((other) => other.parties[1] === parties[0])) ?? first;
  const last = farEnd(origin, legs);
  const messages = legs.flatMap((leg) => leg.messages).sort(inOrder);
  return {
    ...origin,
    legId: first.legId,
    parties: [origin.parties[0], last.parties[1]],
    ports: null,
    toTags: [...new Set(legs.flatMap(({ toTags }) => toTags))],
    startedAt: Math.min(...legs.map(({ startedAt }) => startedAt)),
    messages: withoutCopies(messages),
    messagesOmitted: legs.reduce((sum, leg) => sum + leg.messagesOmitted, 0),
    pinholes: distinct(
      legs.flatMap(({ pinholes }) => pinholes),
      keyOfPinhole,
    ),
    refusals: distinct(
      legs.flatMap(({ refusals }) => refusals).sort(inOrder),
      ({ place, reason, detail }) => `${place.file} ${place.frame} ${reason} ${detail}`,
    ),
  };
}

/** The leg at which the call was answered, as far from the caller as the hops go. */
function farEnd(origin: CallReport, legs: readonly CallReport[]): CallReport {
  let end = origin;
  const passed = new Set([origin]);
  for (;;) {
    const on = legs.filter((leg) => !passed.has(leg) && leg.parties[0] === end.parties[1]);
    const next = on.find(({ answeredAt }) => answeredAt !== null) ?? on[0];
    if (next === undefined) return end;
    passed.add(next);
    end = next;
  }
}

function inOrder(a: Pick<MessageLine, 'at' | 'place'>, b: Pick<MessageLine, 'at' | 'place'>): number {
  return a.at - b.at || a.place.file - b.place.file || a.place.frame - b.place.frame;
}

/** A message that belongs to two legs, such as a BYE past the proxy, stands in both ladders. */
function withoutCopies(messages: readonly MessageLine[]): MessageLine[] {
  return distinct(
    messages,
    ({ place, source, destination, summary }) =>
      `${place.file} ${place.frame} ${source} ${destination} ${summary}`,
  );
}

function keyOfPinhole({ protocol, address, ports, sources, openedAt, kind }: PinholeReport): string {
  return `${protocol} ${address} ${ports.join()} ${sources} ${openedAt} ${kind}`;
}

function distinct<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  const seen = new Set<string>();
  return items.filter((item) => {
    const key = keyOf(item);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
