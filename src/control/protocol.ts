import type { StaticMediaUse } from '../address/static-media.ts';
import type { NextTimer } from '../call/expiry.ts';
import type { WrittenSettings } from '../config/print.ts';
import type { DataPathCounters } from '../daemon/messages.ts';
import type { AudioCause } from '../inspector/audio-cause.ts';

/**
 * What is said on the control socket: docs/control.md in types. One JSON object a line. The daemon greets with
 * `Greeting`; the client sends a `Request`; the daemon answers with one `Reply`, or with several of which all but
 * the last have `more`. Times are seconds since the epoch, spans are seconds.
 */

/** Changes when an old client would misread a reply. */
export const PROTOCOL = 1;

/** Bytes of a request's line, without its end. */
export const LONGEST_REQUEST = 4096;
/** Bytes of a reply's line. */
export const LONGEST_REPLY = 4 * 1024 * 1024;

export interface Greeting {
  /** The daemon's version. */
  readonly pinholed: string;
  readonly protocol: number;
}

export type Request = {
  /** The protocol that the client speaks; checked where it is given. */
  readonly protocol?: number;
} & (
  | {
      readonly request:
        | 'status'
        | 'stats'
        | 'verify'
        | 'settings'
        | 'flush'
        | 'metrics'
        | 'handover'
        | 'watch';
    }
  | ({ readonly request: 'calls'; readonly call?: string } & Selecting)
  /** Those that a call holds which is named, or chosen; of all calls where it is not given. */
  | { readonly request: 'pinholes'; readonly call?: string; readonly match?: string }
  | ({
      readonly request: 'top';
      /** Seconds between two pictures, 0.5 to 60. */
      readonly interval?: number;
    } & Selecting)
  | { readonly request: 'explain' | 'recording' | 'close'; readonly call: string }
  | { readonly request: 'blocked'; readonly call?: string }
  /** `alarm`: the name of one; all where it is not given. */
  | { readonly request: 'acknowledge'; readonly alarm?: string }
  /** `since`: seconds since the epoch; calls that were over before are left out. All that are remembered where it is not given. */
  | { readonly request: 'history'; readonly since?: number }
  /** The latest `limit` refusals, 1 to 1000; 100 where it is not given. */
  | { readonly request: 'refused'; readonly limit?: number }
  /** `range`: the ports of the static rule that pinholes are compared with, such as `10000-20000`. */
  | { readonly request: 'exposure'; readonly range?: string }
);

/** Which calls, and in which order. */
interface Selecting {
  readonly sort?: TopOrder;
  /** The last first. */
  readonly reverse?: boolean;
  /** At most so many; for `top` 1 to 500. */
  readonly limit?: number;
  /** Text in the Call-ID, From, To, an address or the leg's name; small and capital letters are one. */
  readonly match?: string;
  readonly state?: (typeof CALL_STATES)[number];
  /** Answered, and without media for so many seconds. */
  readonly silent?: number;
}

export type RequestName = Request['request'];

/**
 * The answer, or why there is none. An answer in parts is lines with `more`, and then one without a result.
 */
export type Reply =
  | { readonly ok: true; readonly result?: unknown; readonly more?: true }
  | { readonly ok: false; readonly error: ReplyError };

interface ReplyError {
  readonly code: ErrorCode;
  /** For people. */
  readonly message: string;
}

export const ERROR_CODES = {
  'bad-request': 'The line is no request: no JSON, too long, a field missing or wrong.',
  'unknown-request': 'There is no request of this name.',
  protocol: 'The client speaks another version of the protocol.',
  forbidden: 'The user at the other end may not use the socket.',
  busy: 'There are too many clients already.',
  'unknown-call': 'There is no such call.',
  'ambiguous-call': 'Several calls begin with these digits.',
  'not-recorded': 'The messages of calls are not recorded: `daemon.recording` is off.',
  'not-watched': 'Nobody looks at what the ruleset drops: `blocked.watch` is false.',
  'no-such-alarm': 'There is no alarm of this name at the moment.',
  unavailable: 'The data path did not answer in time.',
  internal: 'The daemon made a mistake; its log has more.',
} as const satisfies Record<string, string>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** A request that cannot be answered. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** A field of a request that has to be text. Throws RequestError. */
export function textOf(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new RequestError('bad-request', `${field}: expected text`);
}

export interface StatusResult {
  readonly version: string;
  readonly platform: string;
  /** Name and release of the system. */
  readonly system: string;
  /** `node 20.20.2`. */
  readonly runtime: string;
  readonly pid: number;
  readonly user: string;
  readonly startedAt: number;
  readonly uptime: number;
  readonly mode: {
    /** Nothing is opened: `mode: observe`. */
    readonly observes: boolean;
    /** Copies of packets are read, and none waits: `intercept: bpf`. */
    readonly passive: boolean;
    readonly fail: 'closed' | 'open';
    readonly onFirewallError: 'pass' | 'drop';
    readonly strict: boolean;
    readonly supervised: boolean;
    readonly journal: boolean;
  };
  /** What the platform found and set up. */
  readonly description: readonly string[];
  readonly calls: number;
  readonly callsStarted: number;
  /** Calls that are up and miss audio in one direction, or in both. */
  readonly callsWithoutAudio: number;
  /** How each entry of `static-media` stands; empty where there is none. */
  readonly staticMedia: readonly StaticMediaUse[];
  readonly pinholes: number;
  /** Pinholes that the packet filter refused to open. */
  readonly pinholesMissing: number;
  /** Taken up from the journal. */
  readonly adopted: { readonly calls: number; readonly pinholes: number };
  readonly counters: DataPathCounters;
  /** Bytes found changed in the packets that were compared before their release; they were put back. */
  readonly bytesModified: number;
  readonly packetsCompared: number;
  readonly messages: { readonly udp: number; readonly tcp: number };
  /** Messages of inside hosts, and of others. */
  readonly heard: {
    readonly inside: { readonly requests: number; readonly responses: number };
    readonly outside: { readonly requests: number; readonly responses: number };
  };
  /** Read from copies that a PBX or proxy mirrors (HEP). */
  readonly mirrored: number;
  readonly malformed: number;
  readonly refused: number;
  /** Passed by pinholes. */
  readonly media: { readonly packets: number; readonly bytes: number };
  readonly latency: { readonly inspection: Quantiles; readonly commit: Quantiles };
  /** The firewalls that it shares its calls with; null where it shares none. */
  readonly group: GroupResult | null;
  /** Counters of divert(4) or NFQUEUE. */
  readonly platformCounters: Readonly<Record<string, number>>;
  readonly alarms: readonly Alarm[];
}

/** How the sharing of calls stands. Times are in seconds. */
export interface GroupResult {
  readonly state: 'joining' | 'joined' | 'away';
  /** For how long it stands so, and why the store is away; null while it is not. */
  readonly for: number;
  readonly why: string | null;
  readonly self: string;
  /** Names of the other firewalls that are there. */
  readonly others: readonly string[];
  /** Calls that this firewall, and others, had to do with last. */
  readonly calls: { readonly own: number; readonly others: number };
  /** The same by the name of each firewall that has some or is there. */
  readonly owners: readonly { readonly name: string; readonly calls: number }[];
  /** Changes that the store has yet to hear of. */
  readonly waiting: number;
  /** From the last write to its coming back as news, and since the last answer; null before the first. */
  readonly lag: number | null;
  readonly contact: number | null;
  /** Records that could not be taken up. */
  readonly refused: number;
  /** Messages that waited for other firewalls, and those that went on unconfirmed. */
  readonly waited: number;
  readonly overdue: number;
}

/** Whether the other firewalls have all that this one knows. */
export interface HandoverResult {
  readonly isHandedOver: boolean;
  /** Names of the others. */
  readonly others: readonly string[];
  /** Calls under way that they have. */
  readonly calls: number;
  /** Why they have not; '' where they have. */
  readonly why: string;
}

/** Upper bounds in seconds, at most twice the truth; null when nothing was measured or it is beyond a second. */
export interface Quantiles {
  readonly median: number | null;
  readonly p99: number | null;
  readonly longest: number;
}

/** Something that people should look at. */
export interface Alarm {
  readonly name: string;
  readonly text: string;
  readonly advice: string;
  /** Seconds since the epoch: since when it is there, and when it last happened. */
  readonly since: number;
  readonly last: number;
}

/** The alarms that were cleared. */
export interface AcknowledgeResult {
  readonly cleared: readonly string[];
  /** Those that stay, since what they are about lasts. */
  readonly stay: readonly string[];
}

export interface StatsResult {
  readonly startedAt: number;
  readonly packets: number;
  readonly notSip: number;
  readonly keepalives: number;
  readonly malformed: number;
  /** Packets with an inside host's address that did not come in from inside. */
  readonly spoofed: number;
  readonly messages: { readonly udp: number; readonly tcp: number };
  /** Messages by method, responses by the method of their request. */
  readonly methods: Readonly<Record<string, number>>;
  /** Responses by status code. */
  readonly responses: Readonly<Record<string, number>>;
  /** Every reason there is. */
  readonly refusals: Readonly<Record<string, number>>;
  /** Packets whose headers cannot be read, by what is wrong. */
  readonly unreadable: Readonly<Record<string, number>>;
  readonly inspection: HistogramResult;
  readonly commit: HistogramResult;
}

export interface HistogramResult {
  /** How many took longer than the bucket before and at most `le` seconds; null: longer than all others. */
  readonly buckets: readonly { readonly le: number | null; readonly count: number }[];
  readonly count: number;
  readonly sum: number;
  readonly longest: number;
}

export interface CallResult {
  /** Name of the leg, 16 hexadecimal digits. */
  readonly legId: string;
  readonly callId: string;
  readonly from: string;
  readonly to: string;
  /** Signalling addresses; the first sent the first INVITE. */
  readonly parties: readonly [string, string];
  /** What is agreed on, stream by stream: `audio PCMU, telephone-event; video VP8`; '' while nothing is. */
  readonly codecs: string;
  readonly state: string;
  readonly endReason: string | null;
  /** Name of the firewall of the group that had to do with it last; null where calls are shared with nobody. */
  readonly owner: string | null;
  readonly startedAt: number;
  readonly answeredAt: number | null;
  readonly endedAt: number | null;
  /** From its start to its end, or until now. */
  readonly age: number;
  /** Since media was seen last or the pinholes changed. */
  readonly idle: number;
  /** Media that its pinholes have passed, as of the last count. */
  readonly packets: number;
  readonly bytes: number;
  /** Packets that were sent back from where they lead; null where nobody tells who sends. */
  readonly sent: number | null;
  /** The same by who they were on their way to; null where nobody tells who sends, or while nothing has been counted. */
  readonly packetsTo: { readonly caller: number | null; readonly callee: number | null };
  /** Who gets no audio though it was agreed on, since when, and why; null where nothing is missed. */
  readonly noAudio: {
    readonly to: readonly ('caller' | 'callee')[];
    readonly since: number;
    readonly causes: readonly AudioCause[];
  } | null;
  readonly nextTimer: { readonly name: NextTimer['name']; readonly in: number } | null;
  readonly pinholes: readonly PinholeResult[];
}

export interface PinholeResult {
  /** Legs that hold it. */
  readonly legIds: readonly string[];
  readonly protocol: 'udp' | 'tcp';
  readonly address: string;
  readonly ports: readonly [first: number, last: number];
  /** `any` alone where everyone may send. */
  readonly sources: readonly string[];
  readonly sourcePort: number | null;
  readonly media: string;
  readonly kind: string;
  readonly openedAt: number;
  /** The other party has answered for it. */
  readonly agreed: boolean;
  /** Why and in how many seconds it closes; null while it is wanted. */
  readonly closing: { readonly reason: string; readonly in: number } | null;
  readonly packets: number;
  readonly bytes: number;
  /** Packets that were sent back from there; null where nobody tells who sends. */
  readonly sent: number | null;
}

/** A pinhole with who uses it: 16 of its calls at most, while `legIds` names the legs of all. */
export interface ListedPinhole extends PinholeResult {
  readonly holders: readonly Pick<CallResult, 'legId' | 'callId' | 'from' | 'to' | 'parties'>[];
}

/** One line of the answer to `calls`. */
export interface CallsResult {
  readonly calls: readonly CallResult[];
}

/** One line of the answer to `pinholes`. */
export interface PinholesResult {
  readonly pinholes: readonly ListedPinhole[];
}

/** What the packet filter holds, read from the kernel and compared with what was committed. */
export interface VerifyResult {
  readonly pinholes: number;
  /** Rules of pf, or elements of nftables, that there are. */
  readonly rules: number;
  /** Rules that should be there and are not, and those that should not be there. */
  readonly missing: number;
  readonly unexpected: number;
  /** Some of both, a line each, with `-` and `+`. */
  readonly examples: readonly string[];
}

export interface SettingsResult {
  /** The file that they were read from at the start, and are at a reload; null: there is none. */
  readonly file: string | null;
  /** In force, as a file has them. */
  readonly settings: WrittenSettings;
}

export const CALL_STATES = ['calling', 'ringing', 'confirmed', 'terminating', 'ended'] as const;
export const TOP_ORDERS = ['age', 'idle', 'packets'] as const;
export type TopOrder = (typeof TOP_ORDERS)[number];

export interface TopResult {
  readonly at: number;
  readonly uptime: number;
  readonly calls: number;
  readonly pinholes: number;
  readonly packets: number;
  readonly alarms: readonly Alarm[];
  /** The first ones in the order asked for. */
  readonly top: readonly CallResult[];
}

export interface CloseResult {
  /** Legs that were ended. */
  readonly closed: readonly string[];
}

/** Several lines while it goes on. */
export interface FlushResult {
  readonly closed: number;
  readonly calls: number;
}

export interface ExposureResult {
  /** Seconds that were measured: since the daemon took its first packet. */
  readonly span: number;
  /** Ports of the static rule. */
  readonly range: readonly [first: number, last: number];
  /** Inside addresses that had a pinhole. */
  readonly hosts: number;
  /** There were more hosts or sources than are counted. */
  readonly atLeast: boolean;
  readonly static: {
    readonly portSeconds: number;
    /** Addresses that may send to each port: all of IPv4. */
    readonly sources: number;
    readonly sourcePortSeconds: number;
  };
  readonly pinholes: {
    readonly portSeconds: number;
    readonly portsNow: number;
    /** Addresses that were let in at some time, each counted once. */
    readonly sources: number;
    readonly sourcePortSeconds: number;
    /** The part of `portSeconds` in which any address might send. */
    readonly anySourcePortSeconds: number;
  };
  /** Static by pinholes; null when nothing was open. */
  readonly ratio: { readonly portSeconds: number | null; readonly sourcePortSeconds: number | null };
}

/** One line of the answer to `recording`. */
export interface RecordingResult {
  /** Oldest first. */
  readonly messages: readonly {
    readonly at: number;
    readonly transport: 'udp' | 'tcp';
    readonly src: string;
    readonly srcPort: number;
    readonly dst: string;
    readonly dstPort: number;
    /** Legs that it was taken for. */
    readonly legIds: readonly string[];
    readonly callId: string;
    /** The message without credentials and keys, in base64. */
    readonly bytes: string;
  }[];
}

export interface MetricsResult {
  /** Prometheus' text format. */
  readonly text: string;
}

/** One line of `watch`: what happened since the line before, or how many events did not fit. */
export interface WatchResult {
  readonly events: readonly Readonly<Record<string, unknown>>[];
  readonly lost: number;
}
