import type { Address } from '../address/address.ts';
import type { CallState, EndReason } from '../call/call.ts';
import type { RefusalReason } from '../call/refusal.ts';
import type { CloseReason, MediaKind, Side } from '../call/wanted.ts';
import type { AudioCause } from '../inspector/audio-cause.ts';
import type { RefusedTransport } from '../inspector/happening.ts';

/** A frame of the replayed files; for a daemon, a packet that it received, counted from its start, of file 0. */
export interface FramePlace {
  /** Index in the list of files. */
  readonly file: number;
  /** As tshark counts. */
  readonly frame: number;
}

/** A call with its ladder and every decision. Times are in ms: of the epoch in a replay, of the daemon's clock in a daemon. */
export interface CallReport {
  /** Names the leg among others with the same Call-ID. */
  readonly legId: string;
  readonly callId: string;
  readonly fromTag: string;
  readonly toTags: readonly string[];
  /** Signalling addresses; the first sent the first INVITE. */
  readonly parties: readonly [Address, Address];
  /** Ports of the first message, in the order of the parties; null when none was seen. */
  readonly ports: readonly [number, number] | null;
  /** From and To as written. */
  readonly from: string;
  readonly to: string;
  /** What was agreed on last: `audio PCMU, telephone-event`; '' where nothing was. */
  readonly codecs: string;
  readonly state: CallState;
  readonly startedAt: number;
  readonly answeredAt: number | null;
  readonly endedAt: number | null;
  readonly endReason: EndReason | null;
  /** Status of the response that ended it, 0 when none did. */
  readonly endStatus: number;
  readonly messages: readonly MessageLine[];
  /** Messages past the number that is kept. */
  readonly messagesOmitted: number;
  readonly pinholes: readonly PinholeReport[];
  readonly refusals: readonly RefusalReport[];
  /** When audio was missed while it was up, the latest times; nobody tells of it in a replay. */
  readonly withoutAudio: readonly SpellWithoutAudio[];
}

/** A time in which parties of a call that was up got no audio. */
export interface SpellWithoutAudio {
  /** Who: 0 sent the first INVITE. */
  readonly missing: readonly Side[];
  readonly since: number;
  /** When it came again, or others missed it too; null while it lasts, and where the call ended so. */
  until: number | null;
  readonly causes: readonly AudioCause[];
}

/** One message of a call's ladder. */
export interface MessageLine {
  readonly place: FramePlace;
  readonly at: number;
  readonly transport: 'udp' | 'tcp';
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  /** `INVITE`, `200 OK`, `200 OK (BYE)`. */
  readonly summary: string;
  /** Its session description in one phrase, null when it has none. */
  readonly description: string | null;
  /** How often it was sent again. */
  repeats: number;
  /** How often it was seen once more on its way: at another point of the capture, inside and outside a tunnel. */
  copies: number;
}

export interface PinholeReport {
  readonly protocol: 'udp' | 'tcp';
  readonly sources: readonly Address[] | 'any';
  readonly sourcePort: number | null;
  readonly address: Address;
  readonly ports: readonly [first: number, last: number];
  readonly kind: MediaKind;
  readonly media: string;
  readonly direction: 'in' | 'out';
  /** The address that was announced in place of `address`; null where that is the one. */
  readonly external: Address | null;
  /** Which stream of which side it is for, as in Wanted. */
  readonly slot: string;
  /** The other party has answered for it. */
  readonly agreed: boolean;
  /** An ICE candidate that nothing has used so far. */
  readonly onTrial: boolean;
  readonly opened: FramePlace;
  readonly openedAt: number;
  /** The message that led to its end; null for a timer, and while it is open. */
  readonly closed: FramePlace | null;
  readonly closedAt: number | null;
  readonly closeReason: CloseReason | null;
  /** Packets of the window that passed to where it leads. */
  readonly packets: number;
  /** Packets that were sent back from there; null where that is not told, as in a replay. */
  readonly sent: number | null;
}

export interface RefusalReport {
  readonly place: FramePlace;
  readonly at: number;
  readonly reason: RefusalReason;
  readonly detail: string;
  /** The transport that got no pinhole; null when a whole message or description was refused. */
  readonly transport: RefusedTransport | null;
  /** Why this one, where more can be said than what the reason means; else ''. */
  readonly why: string;
}
