import { isRefusal, type Refusal } from '../call/refusal.ts';
import type { Wanted } from '../call/wanted.ts';
import type { RefusalReport } from '../history/call-report.ts';
import type { InterfaceAddresses } from '../policy/external.ts';
import { createPolicy, type PolicySettings } from '../policy/policy.ts';
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
]);

/**
 * What these calls would have had under other settings, of which those in `JUDGED` count: their streams are decided anew.
 * `addresses`: those of interfaces that stand for inside hosts.
 */
export function judged(
  calls: readonly SeenCall[],
  settings: PolicySettings,
  addresses: InterfaceAddresses,
): Outcomes {
  const policy = createPolicy(settings, addresses);
  return outcomesOf(
    calls.map(({ report, needed }) => {
      const streams: SeenStream[] = [];
      const refusals: RefusalReport[] = [];
      for (const stream of needed) {
        const decision = policy.decide(wantedOf(stream), report.legId);
        if (isRefusal(decision)) refusals.push(refusalOf(stream, decision));
        else streams.push({ ...stream, host: decision.address, refusal: null });
      }
      return { report: { ...report, refusals }, needed: streams };
    }),
  );
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
