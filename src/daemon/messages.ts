import type { EndReason } from '../call/call.ts';
import type { RefusalReason } from '../call/refusal.ts';
import type { Settings } from '../config/schema.ts';
import type { HolderEvent } from '../pinhole/table.ts';
import type { Pinhole } from '../policy/pinhole.ts';

/** What the two threads tell each other: plain data that structured cloning keeps whole. */

/** From the control thread to the data path. */
export type Order =
  /** Calls of the journal, serialized; packets may be taken now. */
  | { readonly type: 'start'; readonly records: readonly Uint8Array[] }
  | { readonly type: 'settings'; readonly settings: Settings }
  /** Media was counted in these pinholes since the last such order. */
  | { readonly type: 'traffic'; readonly ids: readonly string[] }
  | { readonly type: 'ask'; readonly id: number; readonly question: Question }
  | { readonly type: 'stop'; readonly keep: boolean };

export type Question =
  | { readonly type: 'status' }
  /** Calls in the order they started, `limit` of them from the `from`th. */
  | { readonly type: 'calls'; readonly from: number; readonly limit: number }
  | { readonly type: 'pinholes'; readonly from: number; readonly limit: number }
  | { readonly type: 'end'; readonly call: string };

/** A value of `Answers` by the question's type. */
export interface Answers {
  readonly status: DataPathStatus;
  readonly calls: readonly CallSummary[];
  readonly pinholes: readonly Pinhole[];
  /** Whether there was such a call. */
  readonly end: boolean;
}

export interface CallSummary {
  readonly hash: string;
  readonly callId: string;
  readonly fromTag: string;
  readonly from: string;
  readonly to: string;
  readonly parties: readonly [string, string];
  readonly state: string;
  readonly endReason: EndReason | null;
  readonly startedAt: number;
  readonly answeredAt: number | null;
  readonly endedAt: number | null;
  readonly pinholes: readonly { readonly pinhole: Pinhole; readonly openedAt: number }[];
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
}

export interface DataPathStatus {
  readonly counters: Readonly<DataPathCounters>;
  readonly inspector: {
    readonly packets: number;
    readonly notSip: number;
    readonly keepalives: number;
    readonly malformed: number;
    readonly unreadable: Readonly<Record<string, number>>;
    readonly messages: { readonly udp: number; readonly tcp: number };
    readonly methods: Readonly<Record<string, number>>;
    readonly refusals: Readonly<Record<string, number>>;
    readonly callsStarted: number;
  };
  readonly calls: number;
  readonly pinholes: number;
  /** Pinholes that should be open and are not, because the packet filter refused. */
  readonly missing: number;
  /** Counters of the platform's own, by name. */
  readonly platform: Readonly<Record<string, number>>;
}

/** From the data path to the control thread. */
export type Report =
  /** Everything is open that needs root. */
  | { readonly type: 'opened'; readonly description: readonly string[] }
  /** Calls were taken up, the packet filter holds what it should, packets are being taken. */
  | { readonly type: 'running'; readonly calls: number; readonly pinholes: number; readonly removed: number }
  /** Could not start, or cannot go on. `code` is an errno's symbol where there is one. */
  | { readonly type: 'failed'; readonly message: string; readonly code: string }
  /** The supervisor is gone. */
  | { readonly type: 'orphaned' }
  | Batch
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answers[keyof Answers] }
  | { readonly type: 'stopped' };

/** What happened since the last batch. */
export interface Batch {
  readonly type: 'batch';
  /** For the journal, in order. */
  readonly records: readonly JournalEntry[];
  /** Closed pinholes whose states are to be killed. */
  readonly closed: readonly Pinhole[];
  readonly events: readonly DaemonEvent[];
}

/** One call as it is now; `endedAt` (ms) once it is over, null before. */
export interface JournalEntry {
  readonly hash: string;
  readonly endedAt: number | null;
  readonly bytes: Uint8Array;
}

/** What people may want to read of. Times are in ms of the system's monotonic clock. */
export type DaemonEvent =
  | {
      readonly type: 'call';
      readonly what: 'started' | 'ended';
      readonly call: CallName;
      readonly reason: EndReason | null;
      readonly at: number;
    }
  | {
      readonly type: 'pinhole';
      readonly what: HolderEvent['type'];
      readonly call: CallName;
      readonly pinhole: Pinhole;
      readonly reason: HolderEvent['reason'];
      readonly openedAt: number;
      readonly at: number;
    }
  | {
      readonly type: 'refused';
      readonly call: CallName | null;
      readonly reason: RefusalReason;
      readonly detail: string;
      readonly at: number;
    }
  | { readonly type: 'note'; readonly level: 'error' | 'warn' | 'info' | 'debug'; readonly text: string };

export interface CallName {
  readonly hash: string;
  readonly callId: string;
  readonly parties: readonly [string, string];
}
