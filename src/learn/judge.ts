import { networkSet } from '../address/network.ts';
import type { StaticMedia } from '../address/static-media.ts';
import { isRefusal, type Refusal } from '../call/refusal.ts';
import { standingEntry } from '../call/standing.ts';
import type { Wanted } from '../call/wanted.ts';
import type { CallReport, RefusalReport } from '../history/call-report.ts';
import { staticWanted } from '../inspector/static-wanted.ts';
import type { InterfaceAddresses } from '../policy/external.ts';
import { createPolicy, type Policy, type PolicySettings } from '../policy/policy.ts';
import { type Outcomes, outcomesOf } from './compare.ts';
import type { SeenCall, SeenStream } from './seen.ts';

/** Settings that decide what of a call is opened, whatever its messages say beside what was announced. */
export const JUDGED: ReadonlySet<string> = new Set([
  'inside',
  'media-hosts',
  'peers',
  'media-ports',
  'denied-ports',
  'nat',
  'tcp-media',
  'static-media',
]);

/**
 * What these calls would have had under other settings, of which those in `JUDGED` count: their streams are decided anew.
 * `addresses`: those of interfaces that stand for inside hosts.
 */
export function judged(
  calls: readonly SeenCall[],
  settings: PolicySettings & { readonly staticMedia?: readonly StaticMedia[] },
  addresses: InterfaceAddresses,
): Outcomes {
  const policy = createPolicy(settings, addresses);
  return outcomesOf(
    calls.flatMap(({ report, needed }) => {
      const name = report.messages.length === 0 ? standingEntry(report.callId) : null;
      const entry = name === null ? null : entryFor(settings.staticMedia ?? [], name, report);
      if (entry === undefined) return [];
      const wanted =
        entry === null
          ? needed.map((stream) => [stream, wantedOf(stream)] as const)
          : wantedFor(entry, report, policy).map((one) => [streamOf(one, report), one] as const);
      const streams: SeenStream[] = [];
      const refusals: RefusalReport[] = [];
      for (const [stream, one] of wanted) {
        const decision = policy.decide(one, report.legId);
        if (isRefusal(decision)) refusals.push(refusalOf(stream, decision));
        else streams.push({ ...stream, host: decision.address, refusal: null });
      }
      return [{ report: { ...report, refusals }, needed: streams }];
    }),
  );
}

/** Undefined where the peer would stand for nothing any more. */
function entryFor(entries: readonly StaticMedia[], name: string, { parties: [peer] }: CallReport) {
  return entries.find((entry) => entry.name === name && networkSet(entry.peers)(peer));
}

function wantedFor(
  entry: StaticMedia,
  { parties }: CallReport,
  { reachedAt }: Pick<Policy, 'reachedAt'>,
): Wanted[] {
  return staticWanted({ parties, state: 'confirmed' }, entry, reachedAt);
}

function streamOf(
  { slot, media, protocol, owner, peer, connection, ports, sources }: Wanted,
  { startedAt, endedAt }: CallReport,
): SeenStream {
  const announced = connection.kind === 'address' ? connection.address : owner;
  return {
    ...{ slot, media, protocol, owner, peer, announced, host: owner, ports, sources },
    ...{ openedAt: startedAt, closedAt: endedAt, packets: 0, refusal: null },
  };
}

function wantedOf({ slot, media, protocol, owner, peer, announced, ports, sources }: SeenStream): Wanted {
  return {
    ...{ slot, media, kind: protocol === 'tcp' ? 'tcp' : 'rtp', protocol, owner, peer, ports, sources },
    connection: { kind: 'address', address: announced },
    ...{ relayed: false, sourcePort: null, candidate: false, agreed: true },
  };
}

function refusalOf(stream: SeenStream, { reason, detail }: Refusal): RefusalReport {
  const { owner, announced, ports, protocol, peer, slot, openedAt } = stream;
  return {
    ...{ place: { file: 0, frame: 0 }, at: openedAt, reason, detail, why: '' },
    transport: { owner, address: announced, ports, protocol, peer, slot, candidate: false },
  };
}
