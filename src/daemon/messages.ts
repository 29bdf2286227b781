import type { Ingress } from '../address/ingress.ts';
import type { StaticMediaUse } from '../address/static-media.ts';
import type { NextTimer } from '../call/expiry.ts';
import type { Settings } from '../config/schema.ts';
import type { LastCounts } from '../firewall/firewall.ts';
import type { MissingAudio } from '../inspector/audio.ts';
import type { Leg, Occasion } from '../inspector/happening.ts';
import type { Heard } from '../inspector/stats.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import type { Held } from '../pinhole/table.ts';
import type { InterfaceAddresses } from '../policy/external.ts';
import type { Exposure } from './data-path/exposure.ts';
import type { Fidelity } from './data-path/fidelity.ts';
import type { Distribution } from './data-path/histogram.ts';
import type { Slice } from './data-path/slices.ts';
import type { JournalEntry, JournalRecord } from './journal/journal.ts';
import type { Stamp } from './peers/stamp.ts';
import type { SeenMedia } from './traffic.ts';

/** What the two threads tell each other: plain data that structured cloning keeps whole. */

/** From the control thread to the data path. */
export type Order =
  /** Calls of the journal, serialized; packets may be taken now. */
  | {
      readonly type: 'start';
      readonly records: readonly JournalRecord[];
      readonly ingress: Ingress | null;
      readonly addresses: InterfaceAddresses;
    }
  /** Interfaces or routes are not as before. */
  | { readonly type: 'ingress'; readonly ingress: Ingress }
  /** Interfaces that stand for inside hosts have these addresses now. */
  | { readonly type: 'addresses'; readonly addresses: InterfaceAddresses }
  | { readonly type: 'settings'; readonly settings: Settings }
  /**
   * Media was counted in these pinholes since the last such order. `complete`: so all counters have been read, and told of.
   */
  | { readonly type: 'traffic'; readonly seen: readonly SeenMedia[]; readonly complete: boolean }
  /** What other firewalls that share their calls with this one say of them, in order; `ticket` counts such orders. */
  | { readonly type: 'shared'; readonly ticket: number; readonly records: readonly SharedRecord[] }
  /** The other firewalls have not heard, or not any more, how these calls and connections are. */
  | { readonly type: 'tell'; readonly keys: readonly string[] }
  /** These calls go on, by their names, as other firewalls say. */
  | { readonly type: 'keep'; readonly calls: readonly string[] }
  /** As many other firewalls have to have the pinholes of a message before it goes on; 0: it waits for none. */
  | { readonly type: 'confirmers'; readonly count: number }
  /** Every one of them has the pinholes of these messages. */
  | { readonly type: 'confirmed'; readonly waits: readonly number[] }
  /** The packet filter differs from what was committed: it is to be put right. */
  | { readonly type: 'repair' }
  | { readonly type: 'ask'; readonly id: number; readonly question: Question }
  | { readonly type: 'stop'; readonly keep: boolean };

export type Question =
  | { readonly type: 'status' }
  /** The next `limit` calls (at most `MOST_PER_SLICE`), `cursor` being null at first and then what came last. */
  | { readonly type: 'calls'; readonly cursor: number | null; readonly limit: number }
  | { readonly type: 'pinholes'; readonly cursor: number | null; readonly limit: number }
  /** How the next calls are, as they are written down. */
  | { readonly type: 'records'; readonly cursor: number | null; readonly limit: number }
  /** Ends the leg with this id. */
  | { readonly type: 'end'; readonly legId: string };

/** What one answer holds at most, so that packets wait for it no longer than for a large SIP message: `bench/watching.ts`. */
export const MOST_PER_SLICE = 25;

/** A value of `Answers` by the question's type. */
export interface Answers {
  readonly status: DataPathStatus;
  /** Null when the cursor is not known any more. */
  readonly calls: Slice<CallSummary> | null;
  readonly pinholes: Slice<Pinhole> | null;
  readonly records: Slice<CallEntry> | null;
  /** Whether there was such a call. */
  readonly end: boolean;
}

/** How a call or a connection is, with which of its versions that is; null where no other firewall is to hear of it. */
export interface CallEntry extends JournalEntry {
  readonly stamp: Stamp | null;
}

/** How a call or a connection is at another firewall, under the name that it has everywhere. */
export interface SharedRecord {
  readonly key: string;
  readonly stamp: Stamp;
  /** Empty: it is over, and nobody knows more. */
  readonly text: string;
  /** ms since it was written down, by the clock of the store. */
  readonly age: number;
}

export interface CallSummary {
  readonly leg: Leg;
  /** Last media seen, or the last time the pinholes changed. */
  readonly mediaAt: number;
  /** What runs out first, of the call or of its pinholes. */
  readonly nextTimer: NextTimer | null;
  readonly pinholes: readonly Held[];
  /** Audio that it misses. */
  readonly noAudio: MissingAudio | null;
}

/** Counters since the start of the process. */
export interface DataPathCounters {
  received: number;
  released: number;
  dropped: number;
  commits: number;
  /** Commits that were asked again because the packet filter was busy. */
  retries: number;
  /** Commits that failed for good. */
  commitErrors: number;
  /** Times that the rules were compared with the intended set and put right. */
  repairs: number;
  /** Exceptions where there should be none; the packet went on all the same. */
  exceptions: number;
  /** Lines for the log that were left out because the control thread did not keep up. */
  eventsLost: number;
  /** Closed pinholes whose states nobody removed, because there were too many while the control thread did not keep up. */
  statesLeft: number;
  /** Packets that data paths died of since the supervisor was started. They passed unread. */
  deaths: number;
  /** Packets that passed unread because a data path has died of the same before. */
  unread: number;
  /** Packets that waited until other firewalls had their pinholes, and those of them that went on before that. */
  waited: number;
  overdue: number;
}

export interface DataPathStatus {
  readonly counters: Readonly<DataPathCounters>;
  readonly inspector: {
    readonly packets: number;
    readonly notSip: number;
    readonly keepalives: number;
    readonly malformed: number;
    readonly spoofed: number;
    readonly mirrored: number;
    readonly olderConnections: number;
    readonly unreadable: Readonly<Record<string, number>>;
    readonly messages: { readonly udp: number; readonly tcp: number };
    readonly heard: Heard;
    readonly methods: Readonly<Record<string, number>>;
    /** By status code. */
    readonly responses: Readonly<Record<string, number>>;
    readonly refusals: Readonly<Record<string, number>>;
    readonly callsStarted: number;
    readonly callsWithoutAudio: number;
  };
  /** From the receipt of a packet until it is known what it asks for. */
  readonly inspection: Distribution;
  /** From a change's way to the packet filter until it was confirmed. */
  readonly commit: Distribution;
  readonly fidelity: Fidelity;
  readonly exposure: Exposure;
  readonly calls: number;
  /** Those of them that miss audio now. */
  readonly withoutAudio: number;
  /** How each entry of `static-media` stands. */
  readonly staticMedia: readonly StaticMediaUse[];
  readonly pinholes: number;
  /** Pinholes that should be open and are not, because the packet filter refused. */
  readonly missing: number;
  /** Counters of the platform's own, by name. */
  readonly platform: Readonly<Record<string, number>>;
}

/** From the data path to the control thread. */
export type DataPathReport =
  /** Everything is open that needs root. */
  | { readonly type: 'opened'; readonly description: readonly string[] }
  /** Calls were taken up, the packet filter holds what it should, packets are being taken. */
  | { readonly type: 'running'; readonly calls: number; readonly pinholes: number; readonly removed: number }
  /** Could not start, or cannot go on. `code` is an errno's symbol where there is one. */
  | { readonly type: 'failed'; readonly message: string; readonly code: string }
  /** A packet came in through an interface that is not known, or where it should not have: look again. */
  | { readonly type: 'look-at-interfaces' }
  /** What was in the orders up to this ticket is open; `refused` records of them could not be taken up. */
  | { readonly type: 'shared'; readonly ticket: number; readonly refused: readonly string[] }
  /** A message waits until other firewalls have the pinholes of these calls. */
  | { readonly type: 'waiting'; readonly wait: number; readonly calls: readonly string[] }
  /** The supervisor is gone. */
  | { readonly type: 'orphaned' }
  | Batch
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answers[keyof Answers] }
  | { readonly type: 'stopped' };

/** What happened since the last batch. */
export interface Batch {
  readonly type: 'batch';
  /** For the journal, in order. */
  readonly records: readonly CallEntry[];
  /** Closed pinholes whose states are to be killed. */
  readonly closed: readonly Pinhole[];
  /** What closed pinholes had passed, where the packet filter told. */
  readonly counts: LastCounts;
  /** In order. */
  readonly occasions: readonly Occasion[];
  readonly notes: readonly Note[];
}

/** A line for the log of the data path itself. */
export interface Note {
  readonly type: 'note';
  readonly level: 'error' | 'warn' | 'info';
  readonly text: string;
}
