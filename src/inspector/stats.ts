import type { RefusalReason } from '../call/refusal.ts';
import type { PacketError } from '../packet/ip.ts';
import { METHODS } from '../sip/methods.ts';

/** By sender. */
export interface Heard {
  readonly inside: { requests: number; responses: number };
  readonly outside: { requests: number; responses: number };
}

/** What reading counts. */
export interface ReadingStats {
  packets: number;
  notSip: number;
  keepalives: number;
  malformed: number;
  /** TCP connections that begin like SIP, are older than the inspector and are not read. */
  olderConnections: number;
  /** Packets with an inside host's address that did not come in from inside. */
  spoofed: number;
  /** Messages that were read from a host's copies. */
  mirrored: number;
  /** Packets whose headers cannot be read, by name. */
  readonly unreadable: Map<PacketError, number>;
  readonly messages: { udp: number; tcp: number };
  /** Messages by who sent them and by what they are: of a call that passes, both kinds come from both sides. */
  readonly heard: Heard;
  readonly methods: Map<string, number>;
  /** Responses by status code, 100 to 699. */
  readonly responses: Map<number, number>;
}

/** What deciding counts. */
export interface DecidingStats {
  readonly refusals: Map<RefusalReason, number>;
  callsStarted: number;
  /** Calls in which audio was missed, each time that it was. */
  callsWithoutAudio: number;
}

export interface InspectorStats extends ReadingStats, DecidingStats {}

/** Methods counted by name; everything else is counted as `other`, so that no sender can fill memory. */
const KNOWN_METHODS = ['other', ...METHODS];

export function newStats(): InspectorStats {
  return {
    packets: 0,
    notSip: 0,
    keepalives: 0,
    malformed: 0,
    spoofed: 0,
    mirrored: 0,
    olderConnections: 0,
    unreadable: new Map(),
    messages: { udp: 0, tcp: 0 },
    heard: { inside: { requests: 0, responses: 0 }, outside: { requests: 0, responses: 0 } },
    methods: new Map(KNOWN_METHODS.map((name) => [name, 0])),
    responses: new Map(),
    refusals: new Map(),
    callsStarted: 0,
    callsWithoutAudio: 0,
  };
}

/** One more of this kind. */
export function count<Kind>(counts: Map<Kind, number>, kind: Kind): void {
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
}

export function countMethod({ methods }: ReadingStats, name: string): void {
  const before = methods.get(name);
  if (before === undefined) count(methods, 'other');
  else methods.set(name, before + 1);
}

/** Codes that RFC 3261 7.2 has no class for are left out, so that no sender can fill memory. */
export function countResponse({ responses }: ReadingStats, status: number): void {
  if (status >= 100 && status <= 699) count(responses, status);
}
