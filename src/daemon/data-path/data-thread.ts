import { isMainThread, type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { type Libc, loadLibc } from '../../../native-bindings/engine.ts';
import type { Settings } from '../../config/schema.ts';
import type { Scribe } from '../../inspector/record.ts';
import { createInspector } from '../../inspector.ts';
import { createClock } from '../clock.ts';
import type { DataPathReport, Order } from '../messages.ts';
import { followed } from '../platform/observing.ts';
import type { PlatformModule } from '../platform/platform.ts';
import type { HandedDown } from '../process/handed-down.ts';
import { createHeartbeat } from '../process/heartbeat.ts';
import { favourThread } from '../process/priority.ts';
import { confineThread } from '../process/privileges.ts';
import { createRecorder } from '../recording.ts';
import { identify, memberId } from '../scribe.ts';
import { inherit } from './at-hand.ts';
import { openCopies } from './copies.ts';
import { createDataPath } from './data-path.ts';
import { openIdleCollection } from './idle-collection.ts';
import { openMirrorOut } from './mirror-out.ts';
import { readRecords } from './records.ts';
import { warmUp } from './warm-up.ts';

/** What the control thread starts this one with. */
export interface ThreadData {
  readonly port: MessagePort;
  readonly settings: Settings;
  /** URL of the module with `openPlatform`. */
  readonly platformModule: string;
  /** Descriptor of the pipe to the supervisor, already non-blocking; null when there is none. */
  readonly heartbeat: number | null;
  readonly handedDown: HandedDown;
  /** Counts the reports that the control thread has taken. */
  readonly taken: Int32Array;
  /** What copies by HEP have to bear; null: nothing. */
  readonly hepKey: Uint8Array | null;
  /** Memory for the signalling of calls; null where none is recorded. */
  readonly recording: SharedArrayBuffer | null;
  /** Whether packets may be read as root. */
  readonly mayBeRoot: boolean;
}

/** ms between two looks for the order to start. */
const START_POLL = 2;

/**
 * The data-path thread. Opens its ends, says so, waits until the process has given up root, and then never
 * returns to its event loop until it is told to stop.
 */
async function runThread(data: ThreadData): Promise<void> {
  const { port } = data;
  let posted = 0;
  const post = (report: DataPathReport) => {
    posted++;
    port.postMessage(report);
  };
  try {
    const libc = await loadLibc();
    favourThread(libc, data.settings.daemon.priority);
    const identity = identify();
    let settings = data.settings;
    const member = memberOf(settings, identity);
    const { openPlatform } = (await import(data.platformModule)) as PlatformModule;
    const platform = await openPlatform(settings);
    const ends = await platform.openDataPath(() => settings, data.handedDown.intake);
    const copies = openCopies(libc, () => settings, data.hepKey);
    const mirror = openMirrorOut(libc, settings, data.hepKey);
    const description = [...ends.description, ...(copies === null ? [] : [copies.description])];
    post({ type: 'opened', description });

    const nextOrder = () => (receiveMessageOnPort(port)?.message as Order | undefined) ?? null;
    const { records: journal, ingress, addresses } = waitForStart(nextOrder);
    confineThread(libc);
    refuseRoot(libc, data.mayBeRoot);
    const heartbeat = data.heartbeat === null ? null : createHeartbeat(data.heartbeat);
    const clock = createClock(libc);
    const { atHand } = data.handedDown;
    const { succession } = ends.interceptor;
    const inherited = atHand === null || succession === undefined ? null : inherit(libc, atHand, succession);
    let supervised = heartbeat !== null;
    const path = createDataPath({
      ends,
      ...inherited,
      ...(copies !== null && { copies }),
      inspector: createInspector(
        () => followed(settings),
        null,
        mirror?.take,
        member === null ? 1 : Number.parseInt(member, 16),
      ),
      ...(mirror !== null && { mirror }),
      settings: () => settings,
      changeSettings: (next) => {
        settings = next;
      },
      recorder: data.recording === null ? null : createRecorder(data.recording),
      clock,
      identity,
      member,
      pause,
      collection: openIdleCollection(),
      beat: () => {
        if (!supervised || heartbeat?.beat() !== false) return;
        supervised = false;
        post({ type: 'orphaned' });
      },
      nextOrder,
      post,
      backlog: () => posted - Atomics.load(data.taken, 0),
    });
    const scribe = { ...identity, now: clock, wall: Date.now };
    path.start(
      readRecords(journal, () => ends.firewall.list(), scribe),
      ingress,
      addresses,
    );
    warmUp(followed(settings));
    heartbeat?.ready();
    try {
      while (path.turn());
    } catch (error) {
      path.flush();
      throw error;
    }
  } catch (error) {
    const { message, code = '' } = error as Error & { code?: string };
    post({ type: 'failed', message, code });
  } finally {
    port.close();
  }
}

/** Who this is among firewalls that share their calls, and from where it counts its legs; null where it shares none. */
function memberOf({ peersStore }: Settings, identity: Pick<Scribe, 'machine'>): string | null {
  return peersStore.url === null ? null : memberId(identity, peersStore.name);
}

function waitForStart(nextOrder: () => Order | null): Extract<Order, { type: 'start' }> {
  for (;;) {
    const order = nextOrder();
    if (order?.type === 'start') return order;
    pause(START_POLL);
  }
}

/** Packets come from anybody: they are not read with rights over the whole system. */
function refuseRoot(libc: Libc, mayBeRoot: boolean): void {
  if (libc.geteuid() === 0 && !mayBeRoot) throw new Error('refusing to read packets as root');
}

const sleeper = new Int32Array(new SharedArrayBuffer(4));

function pause(ms: number): void {
  Atomics.wait(sleeper, 0, 0, ms);
}

if (!isMainThread) await runThread(workerData as ThreadData);
