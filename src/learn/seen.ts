import type { Address } from '../address/address.ts';
import type { Refusal } from '../call/refusal.ts';
import { ownerOf } from '../call/wanted.ts';
import type { CallReport, PinholeReport, RefusalReport } from '../history/call-report.ts';

/** A transport that a host inside was to be reached at in one call. */
export interface SeenStream {
  /** Signalling address of the host that announced it, and of the other party. */
  readonly owner: Address;
  readonly peer: Address;
  /** The address that was announced, and the host that it is. */
  readonly announced: Address;
  readonly host: Address;
  readonly ports: readonly [first: number, last: number];
  readonly protocol: 'udp' | 'tcp';
  /** Media type of the m= line. */
  readonly media: string;
  readonly slot: string;
  readonly sources: readonly Address[] | 'any';
  /** ms; the end is null where there is none yet. */
  readonly openedAt: number;
  readonly closedAt: number | null;
  /** That passed to it. */
  readonly packets: number;
  /** What was refused about it; null where it had a pinhole. */
  readonly refusal: Refusal | null;
}

/** A call leg as far as a configuration can make a difference to it. */
export interface SeenCall {
  readonly report: CallReport;
  /** What its media needed: of an answered call what both parties agreed on, of any other where media came. */
  readonly needed: readonly SeenStream[];
}

/** What an address means that a host inside has announced in place of its own. */
export type Meaning = 'nat' | 'media-host' | null;

/** Refusals that a configuration decides, with nothing else against what was refused as far as it was looked at. */
const SETTLED_BY_CONFIGURATION: ReadonlySet<Refusal['reason']> = new Set([
  'foreign-address',
  'port-out-of-range',
  'peer-not-allowed',
  'tcp-media',
]);

/** `meaningOf`: what was announced for another host. */
export function seenCall(
  report: CallReport,
  meaningOf: (owner: Address, announced: Address) => Meaning,
): SeenCall {
  const streams = [
    ...report.pinholes.flatMap((one) => streamOf(report, one)),
    ...report.refusals.flatMap((one) => refusedStream(report, one, meaningOf)),
  ];
  const byPlace = new Map<string, SeenStream>();
  for (const stream of streams) {
    const known = byPlace.get(placeOf(stream));
    byPlace.set(placeOf(stream), known === undefined ? stream : together(known, stream));
  }
  return { report, needed: [...byPlace.values()] };
}

/** Equal for what leads to the same ports of the same host. */
export function placeOf({ protocol, host, ports }: Pick<SeenStream, 'protocol' | 'host' | 'ports'>): string {
  return `${protocol} ${host} ${ports[0]}-${ports[1]}`;
}

/** Of an offer, its answer and what moved back there is one. */
function together(one: SeenStream, other: SeenStream): SeenStream {
  const ends = [one.closedAt, other.closedAt];
  return {
    ...other,
    openedAt: Math.min(one.openedAt, other.openedAt),
    closedAt: ends.includes(null) ? null : Math.max(...ends.map(Number)),
    packets: one.packets + other.packets,
    refusal: one.refusal === null ? null : other.refusal,
  };
}

/** None where it did not matter to the media of the call. */
function streamOf(report: CallReport, pinhole: PinholeReport): SeenStream[] {
  const { direction, agreed, onTrial, packets, closeReason, slot } = pinhole;
  const isAgreed = report.answeredAt !== null && agreed && !onTrial && !UNUSED.has(closeReason ?? '');
  if (direction !== 'in' || !(packets > 0 || isAgreed)) return [];
  const side = ownerOf(slot);
  const { address, ports, protocol, media, sources, external, openedAt, closedAt } = pinhole;
  return [
    {
      ...{ owner: report.parties[side], peer: report.parties[1 - side]! },
      ...{ announced: external ?? address, host: address, ports, protocol, media, slot, sources },
      ...{ openedAt, closedAt, packets, refusal: null },
    },
  ];
}

/** Reasons of an end that say: the media of the call went elsewhere. */
const UNUSED: ReadonlySet<string> = new Set(['unused-candidate', 'losing-fork', 'bundled', 'rtcp-mux']);

function refusedStream(
  report: CallReport,
  { transport, reason, detail, at }: RefusalReport,
  meaningOf: (owner: Address, announced: Address) => Meaning,
): SeenStream[] {
  if (report.answeredAt === null || transport === null || transport.candidate) return [];
  const { owner, address, ports, protocol, peer, slot } = transport;
  if (address === null || !SETTLED_BY_CONFIGURATION.has(reason)) return [];
  const meaning = owner === address ? null : meaningOf(owner, address);
  if (owner !== address && meaning === null) return [];
  return [
    {
      ...{ owner, peer, announced: address, host: meaning === 'nat' ? owner : address },
      ...{ ports, protocol, media: detail.split(' ', 1)[0]!, slot, sources: [peer] },
      ...{ openedAt: at, closedAt: report.endedAt, packets: 0, refusal: { reason, detail } },
    },
  ];
}

/** Calls, not their legs: what proxies make of one has its Call-ID. */
export function callsIn(legs: Iterable<{ readonly report: CallReport }>): number {
  return new Set([...legs].map(({ report }) => report.callId)).size;
}
