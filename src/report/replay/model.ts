import type { Address } from '../../address/address.ts';
import type { RefusalReason } from '../../call/refusal.ts';
import type { Side } from '../../call/wanted.ts';
import type { CallReport, FramePlace, RefusalReport } from '../../history/call-report.ts';
import type { PayloadKind } from '../../packet/media.ts';
import type { BlockReason } from './block-reasons.ts';
import type { Density } from './density.ts';
import type { RtpStream } from './rtp.ts';

/**
 * What a replay found. Plain data, complete: the JSON and the text are two ways to write it down. Every time is
 * in ms since the epoch.
 */
export interface ReplayReport {
  readonly files: readonly string[];
  /** Frames read, in all files. */
  readonly frames: number;
  /** Time of the first and the last frame; null when there was none. */
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  readonly window: Window;
  /** The networks of `--inside`, or 'any'. */
  readonly inside: readonly string[] | 'any';
  /** Nobody said so: it is what the capture looks like. */
  readonly insideAssumed: boolean;
  readonly sip: SipCounts;
  /** Frames that could not be looked into, by what was wrong. */
  readonly unreadable: ReadonlyMap<string, number>;
  /** Frames cut by the snap length. */
  readonly truncated: number;
  /** In the order of their first messages. */
  readonly calls: readonly CallReport[];
  /**
   * Messages of INVITE dialogs that no call came of, one for each Call-ID, as calls that never began: the parties are
   * those of the first message, as far as it tells.
   */
  readonly strays: readonly CallReport[];
  /** In the order of their first packets. */
  readonly media: readonly FlowReport[];
  /** What was refused outside any call, most frequent first. */
  readonly refusals: readonly LooseRefusal[];
  /** How often each refusal was counted, in calls and outside. */
  readonly refused: ReadonlyMap<RefusalReason, number>;
  readonly damage: readonly Damage[];
  /** What the reader should know about the capture as a whole, a sentence each. */
  readonly notes: readonly string[];
}

/** What part of the capture is reported; what comes before is still followed. Null: no limit. */
export interface Window {
  readonly from: number | null;
  readonly to: number | null;
}

export interface SipCounts {
  messages: number;
  malformed: number;
  readonly byTransport: { udp: number; tcp: number };
  /** Requests by method; of unknown methods the first 32. */
  readonly requests: Map<string, number>;
  /** Responses by status. */
  readonly responses: Map<number, number>;
}

/** The same refusal outside any call, counted. */
export interface LooseRefusal extends RefusalReport {
  count: number;
}

/** One UDP flow, one way. Packets are those of the window. */
export interface FlowReport {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly first: FramePlace;
  readonly firstAt: number;
  readonly lastAt: number;
  readonly packets: number;
  readonly passed: number;
  readonly blocked: number;
  /** Packets by what their content says; `other` for what is none of it. */
  readonly kinds: Readonly<Partial<Record<PayloadKind | 'other', number>>>;
  readonly callId: string | null;
  /** The leg's id; null also when only a message of no leg announced it. */
  readonly legId: string | null;
  /** Which party of the leg it is for: 0 sent the first INVITE. Null when that is unknown. */
  readonly side: Side | null;
  /** Why packets were blocked, in the order it happened. */
  readonly blocks: readonly Block[];
  /** Passed for want of an inside destination alone. */
  readonly outbound: number;
  /** Packets seen once more on their way, at another point of the capture; they are counted here alone. */
  readonly copies: number;
  /** RTP by its sources; none where the flow has no RTP, or what looks like it was no media. */
  readonly rtp: readonly RtpStream[];
  readonly density: Readonly<Density>;
}

/** Packets of one flow that were blocked for one reason. */
export interface Block {
  readonly reason: BlockReason;
  readonly first: FramePlace;
  readonly firstAt: number;
  readonly packets: number;
  /** What happened, in one sentence. */
  readonly text: string;
  /** What the reader can do about it; '' when there is nothing to do. */
  readonly advice: string;
}

export interface Damage {
  readonly file: number;
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly expected: string;
  readonly found: string;
  readonly message: string;
}
