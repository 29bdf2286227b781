import type { Settings } from '../../config/schema.ts';
import type { Scribe } from '../../inspector/record.ts';
import type { Inspector } from '../../inspector.ts';
import type { HepListener } from '../../intercept/hep/listener.ts';
import type { DataPathReport, Order } from '../messages.ts';
import type { DataPathEnds } from '../platform/platform.ts';
import type { Recorder } from '../recording.ts';
import type { AtHand, Inheritance } from './at-hand.ts';
import type { IdleCollection } from './idle-collection.ts';
import type { MirrorOut } from './mirror-out.ts';

/** What the loop is given. Everything is synchronous: nothing is awaited between a packet's receipt and release. */
export interface DataPathDeps {
  readonly ends: Pick<DataPathEnds, 'interceptor' | 'firewall'>;
  readonly inspector: Inspector;
  readonly settings: () => Settings;
  readonly changeSettings: (settings: Settings) => void;
  /** ms of a clock that never runs backwards. */
  readonly clock: () => number;
  /** ms since the epoch, for the records of the journal: the system's unless given. */
  readonly wall?: () => number;
  /** Who writes the records of the journal. */
  readonly identity: Pick<Scribe, 'machine' | 'boot'>;
  /** Who this firewall is among those that it shares its calls with; null, as where nothing is given: it shares none. */
  readonly member?: string | null;
  /** Sleeps, blocking the thread. */
  readonly pause: (ms: number) => void;
  /** Tells the supervisor that the loop is alive. */
  readonly beat: () => void;
  /** The next order of the control thread; null when there is none. */
  readonly nextOrder: () => Order | null;
  readonly post: (report: DataPathReport) => void;
  /** Reports that the control thread has not taken yet. */
  readonly backlog?: () => number;
  /** Copies that hosts mirror, the key that they bear, and ms since the epoch: the time by which they are judged. */
  readonly copies?: {
    readonly listener: HepListener;
    readonly key: Uint8Array | null;
    readonly wall: () => number;
  };
  /** Mirrors what is inspected. */
  readonly mirror?: Pick<MirrorOut, 'flush' | 'counters'>;
  /** Where the packets at hand are noted down, under a supervisor, and what the data path before this one left. */
  readonly atHand?: AtHand;
  readonly inheritance?: Inheritance;
  /** Null, as where nothing is given: garbage is collected when the runtime comes to it. */
  readonly collection?: IdleCollection | null;
  /** Where the signalling of calls is recorded. */
  readonly recorder?: Recorder | null;
}
