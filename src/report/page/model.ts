/**
 * What the page is made of: the report's file carries it, the live page fetches it. A call and its flows have the
 * form that `pinholed replay --json` gives them. Every time is in seconds since the epoch. Text of the network is
 * as it came; `readable` makes it fit to be shown.
 */
export interface CallPicture {
  readonly call: PageCall;
  /** Of a running daemon, and not of a capture. */
  readonly isLive: boolean;
  /** Of a running daemon none: it sees no media. */
  readonly media: readonly PageFlow[];
  /** Flows past the number that is kept. */
  readonly mediaOmitted: number;
  /** Until when things are known: now, or the end of the capture. */
  readonly until: number;
  readonly verdict: CallVerdict;
}

export interface PageCall {
  readonly legId: string;
  readonly callId: string;
  readonly parties: readonly [string, string];
  /** Ports of the first message, which tell the parties apart where both are one host. */
  readonly ports: readonly [number, number] | null;
  /** The hosts that its messages went through, the caller first, the callee after the proxies between. */
  readonly hops: readonly string[];
  readonly from: string;
  readonly to: string;
  /** What was agreed on: `audio PCMU, telephone-event`. */
  readonly codecs: string;
  readonly state: string;
  readonly startedAt: number;
  readonly answeredAt: number | null;
  readonly endedAt: number | null;
  readonly endReason: string | null;
  readonly endStatus: number | null;
  readonly messages: readonly PageMessage[];
  readonly messagesOmitted: number;
  readonly pinholes: readonly PagePinhole[];
  readonly refusals: readonly PageRefusal[];
}

/** Where in the capture; a live call has frame 0. */
export interface PagePlace {
  readonly frame: number;
  readonly file?: number;
}

export interface PageMessage extends PagePlace {
  readonly at: number;
  readonly src: string;
  readonly srcPort: number;
  readonly dst: string;
  readonly dstPort: number;
  readonly transport: string;
  readonly summary: string;
  readonly sdp: string | null;
  readonly repeats: number;
  /** How often it was seen once more on its way. */
  readonly copies: number;
}

export interface PagePinhole {
  readonly protocol: string;
  /** `any` alone where everyone may send. */
  readonly sources: readonly string[];
  readonly sourcePort: number | null;
  readonly address: string;
  readonly ports: readonly [first: number, last: number];
  readonly kind: string;
  readonly media: string;
  readonly openedFrame: number;
  readonly openedAt: number;
  readonly closedFrame: number | null;
  readonly closedAt: number | null;
  readonly closeReason: string | null;
  readonly packets: number;
}

export interface PageRefusal extends PagePlace {
  readonly at: number;
  readonly reason: string;
  readonly detail: string;
  /** Why this one, where more can be said than what the reason means; else ''. */
  readonly why: string;
}

export interface PageFlow {
  readonly src: string;
  readonly srcPort: number;
  readonly dst: string;
  readonly dstPort: number;
  readonly firstAt: number;
  readonly lastAt: number;
  readonly packets: number;
  readonly passed: number;
  readonly blocked: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly rtp: readonly PageRtp[];
  /** Which party it is for: 0 sent the first INVITE. Null when that is unknown. */
  readonly side: 0 | 1 | null;
  readonly blocks: readonly PageBlock[];
  readonly density: {
    readonly from: number;
    readonly width: number;
    readonly passed: readonly number[];
    readonly blocked: readonly number[];
  };
}

/** RTP of one source (RFC 3550); jitter in ms, null where no clock rate is known. */
export interface PageRtp {
  readonly ssrc: number;
  readonly payloadTypes: readonly number[];
  readonly codecs: readonly (string | null)[];
  readonly firstAt: number;
  readonly lastAt: number;
  readonly packets: number;
  readonly lost: number;
  readonly repeated: number;
  readonly late: number;
  readonly jitterMax: number | null;
  readonly jitterMean: number | null;
}

interface PageBlock extends PagePlace {
  readonly reason: string;
  readonly at: number;
  readonly packets: number;
  readonly text: string;
  readonly advice: string;
}

/**
 * What became of a call's media. `blocked`: nothing passed in some direction, `partly`: some packets were blocked,
 * `silent`: nothing came in some direction, `passed`: it passed, `none`: there was none to come.
 */
export type Level = 'blocked' | 'partly' | 'silent' | 'passed' | 'none';

export interface CallVerdict {
  readonly level: Level;
  /** The answer to "what was wrong with this call", in one sentence. */
  readonly headline: string;
  readonly causes: readonly ShownCause[];
}

export interface ShownCause {
  /** Its name, where it has one: `nat`, `wrong-source`. */
  readonly reason?: string;
  readonly text: string;
  /** '' when there is nothing to do. */
  readonly advice: string;
}

/** One line of the list of calls. */
export interface CallRow {
  readonly legId: string;
  readonly callId: string;
  /** Names of the caller and of the called one, from From and To. */
  readonly names: readonly [string, string];
  readonly from: string;
  readonly to: string;
  readonly parties: readonly [string, string];
  readonly codecs: string;
  readonly state: string;
  readonly startedAt: number;
  readonly answeredAt: number | null;
  readonly endedAt: number | null;
  /** How it ended, or its state now. */
  readonly outcome: string;
  readonly level: Level;
  readonly headline: string;
  /** Name of the first cause of what is wrong; '' where nothing is, or it is not known. */
  readonly why: string;
  /** Until when things are known. */
  readonly until: number;
  readonly pinholes: number;
  readonly passed: number;
  readonly blocked: number;
  /** Of what the call's own hosts announced; what every call with the outside has is not counted. */
  readonly refusals: number;
  readonly strips: readonly Strip[];
  /** The firewall of a group that had to do with it last; left out where calls are shared with nobody. */
  readonly firewall?: string;
}

/**
 * Media in one direction in equal parts of the call's time, a character each: `.` nothing, `p` passed,
 * `b` blocked, `x` both.
 */
export type Strip = string;

/** Flows of no call, and refusals outside calls, that belong together. */
export interface LooseGroup {
  readonly title: string;
  readonly flows: number;
  readonly passed: number;
  readonly blocked: number;
  /** A few of the flows, or what was refused. */
  readonly examples: readonly string[];
  readonly causes: readonly ShownCause[];
}

export interface ReplayPage {
  readonly kind: 'replay';
  readonly version: string;
  readonly files: readonly string[];
  readonly frames: number;
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  readonly inside: readonly string[] | 'any';
  readonly messages: number;
  readonly pinholes: number;
  readonly flows: number;
  readonly passed: number;
  readonly blocked: number;
  readonly refusals: number;
  /** What the reader should know about the capture: damage, frames that were cut. */
  readonly notes: readonly string[];
  /** How many there are; their rows and pictures stand apart, in blocks. */
  readonly calls: number;
  readonly loose: readonly LooseGroup[];
}

/** One call of a running daemon as it was at a moment, as a file that needs no other: its legs, the newest first. */
export interface CallPage {
  readonly kind: 'call';
  readonly version: string;
  readonly at: number;
  readonly legs: readonly CallRow[];
}

/** What the live page's document carries: the rest is fetched. */
interface LivePage {
  readonly kind: 'live';
  readonly version: string;
}

export type Page = ReplayPage | CallPage | LivePage;

/** The daemon as it is now. Counters only grow from the start of the daemon on. */
export interface LiveSnapshot {
  readonly version: string;
  /** `FreeBSD 15.1, pf, divert`. */
  readonly platform: string;
  /** `fail: open`, `dry run`: how it runs, in a few words. */
  readonly mode: string;
  readonly startedAt: number;
  readonly at: number;
  readonly alarms: readonly ShownAlarm[];
  readonly counters: {
    /** Packets taken from the packet filter. */
    readonly packets: number;
    readonly messages: number;
    readonly calls: number;
    readonly refusals: number;
    /** Media packets by the counters of the packet filter's rules. */
    readonly media: number;
  };
  readonly pinholes: number;
  /** Calls there are now; `rows` may hold fewer. */
  readonly calls: number;
  /** Those that are up and miss audio in one direction, or in both. */
  readonly withoutAudio: number;
  /** How each entry of `static-media` stands: `trunk: 2 peers, 400 ports open`. */
  readonly staticMedia: readonly string[];
  /** How the sharing of calls with other firewalls stands, a line each; none where they are shared with nobody. */
  readonly group: readonly string[];
  /** Calls under way and, for a while, those that ended: those that were asked for, the first of them. */
  readonly rows: readonly CallRow[];
  /** Calls that were asked for and are not in `rows`. */
  readonly rowsOmitted: number;
  /** Calls that are known, whatever was asked for. */
  readonly remembered: number;
  /** Microseconds; null when there was nothing to measure yet. */
  readonly latency: { readonly inspection: ShownLatency | null; readonly commit: ShownLatency | null };
  /** Refusals by reason since the start. */
  readonly refused: Readonly<Record<string, number>>;
}

export interface ShownLatency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface ShownAlarm {
  readonly severity: 'critical' | 'warning';
  readonly since: number;
  readonly text: string;
  /** '' when there is nothing to do. */
  readonly advice: string;
}
