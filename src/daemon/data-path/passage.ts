import type { Buffer } from 'node:buffer';
import type { Ingress } from '../../address/ingress.ts';
import type { Inspection } from '../../inspector.ts';
import type { HeldPacket } from '../../intercept/interceptor.ts';
import { fingerprintOf } from '../../packet/fingerprint.ts';
import { readPacket } from '../../packet/ip.ts';
import type { DataPathCounters } from '../messages.ts';
import type { DataPathDeps } from './deps.ts';
import { createFidelityCheck } from './fidelity.ts';
import type { FilterKeeper } from './filter-keeper.ts';
import { createHistogram } from './histogram.ts';
import type { Cause, Outbox } from './outbox.ts';
import type { WaitingRoom } from './waiting-room.ts';

interface PassageDeps {
  readonly deps: Pick<
    DataPathDeps,
    'ends' | 'inspector' | 'settings' | 'clock' | 'post' | 'atHand' | 'inheritance'
  >;
  readonly filter: Pick<FilterKeeper, 'confirm' | 'doubt'>;
  readonly outbox: Pick<Outbox, 'say'>;
  readonly waitingRoom: Pick<WaitingRoom, 'isFor' | 'take'>;
  readonly counters: DataPathCounters;
  readonly beat: (now: number) => void;
  /** Tells of an error where there should be none. */
  readonly unexpected: (where: string, error: unknown) => void;
  /** What comes after the release of a packet that was inspected at `at`. */
  readonly afterwards: (inspection: Inspection, at: number, cause: Cause) => void;
}

/** Turns for what is in the queue when it is to end. */
const DRAIN_TURNS = 64;
/** ms between two requests to look at interfaces and routes. */
const INTERFACES_AGAIN = 1000;
const NO_FINGERPRINTS: ReadonlySet<string> = new Set();

/** The way of a packet: inspected, its pinholes confirmed, and only then released. */
export function createPassage(own: PassageDeps) {
  const { deps, filter, outbox, waitingRoom, counters, beat, unexpected, afterwards } = own;
  const { inspector, settings, clock, post, atHand, inheritance } = deps;
  const { interceptor } = deps.ends;
  /** Fingerprints of packets that a data path died of. */
  const remembered = inheritance?.remembered ?? NO_FINGERPRINTS;
  const times = createHistogram();
  const fidelity = createFidelityCheck();
  let ingress: Ingress | null = null;
  let spoofedBefore = 0;
  let interfacesAt = Number.NEGATIVE_INFINITY;

  function pass(packets: readonly HeldPacket[]): void {
    if (packets.length > 0) atHand?.take(packets);
    for (let at = 0; at < packets.length; at++) {
      try {
        if (at > 0) atHand?.begin(at);
        passOne(packets[at]!);
      } catch (error) {
        for (const packet of packets.slice(at + 1)) releaseAnyway(packet);
        atHand?.done();
        throw error;
      }
    }
    if (packets.length > 0) atHand?.done();
  }

  /** Passes what is in the queue already, before an end. */
  function drain(): void {
    for (let turns = 0; turns < DRAIN_TURNS; turns++) {
      const packets = interceptor.receive(0);
      if (packets.length === 0) return;
      pass(packets);
    }
  }

  function passOne(packet: HeldPacket): void {
    counters.received++;
    if (remembered.size > 0 && remembered.has(fingerprintOf(packet.bytes))) {
      passUnread(packet);
      return;
    }
    fidelity.before(packet.bytes);
    const receivedAt = clock();
    const inspection = inspect(packet, receivedAt);
    const inspectedAt = clock();
    times.record(inspectedAt - receivedAt);
    fidelity.after(packet.bytes);
    const open = inspection === null || filter.confirm(inspection);
    const verdict = open ? (inspection?.verdict ?? 'release') : verdictOnError();
    const waits = verdict === 'release' && inspection !== null && waitingRoom.isFor(inspection);
    if (waits) {
      afterwards(inspection, receivedAt, 'packet');
      waitingRoom.take(packet, inspection, receivedAt);
    } else if (verdict === 'drop') {
      interceptor.drop(packet);
      counters.dropped++;
    } else {
      interceptor.release(packet);
      counters.released++;
    }
    atHand?.released();
    if (!waits && inspection !== null) afterwards(inspection, receivedAt, 'packet');
    beat(inspectedAt);
  }

  function passUnread(packet: HeldPacket): void {
    interceptor.release(packet);
    counters.released++;
    counters.unread++;
    outbox.say('warn', `a packet passes unread, a data path died of its like: ${packetText(packet.bytes)}`);
  }

  /** What the data path before this one died of goes on, and is read by nobody. */
  function passCulprit(): void {
    const culprit = inheritance?.culprit ?? null;
    if (culprit === null) return;
    if (!culprit.released) releaseAnyway(culprit.packet);
    const text = packetText(culprit.packet.bytes);
    outbox.say('error', `the data path before this one died of a packet, which passes unread: ${text}`);
  }

  function inspect(packet: HeldPacket, now: number): Inspection | null {
    try {
      const inspection = inspector.inspect(packet.bytes, now, packet.entered);
      if (packet.entered != null) lookAtInterfaces(packet.entered, now);
      return inspection;
    } catch (error) {
      unexpected('the inspector', error);
      filter.doubt(now);
      return null;
    }
  }

  /** Has the interfaces looked at again when one is not known, or when a packet came in where it should not have. */
  function lookAtInterfaces(entered: NonNullable<HeldPacket['entered']>, now: number): void {
    const { spoofed } = inspector.stats;
    if (ingress === null || (spoofed === spoofedBefore && ingress.meant.has(entered))) return;
    if (now < interfacesAt) return;
    interfacesAt = now + INTERFACES_AGAIN;
    spoofedBefore = spoofed;
    post({ type: 'look-at-interfaces' });
  }

  function verdictOnError(): 'release' | 'drop' {
    return settings().onFirewallError === 'drop' ? 'drop' : 'release';
  }

  /** The interceptor is failing; the kernel may still take this one. */
  function releaseAnyway(packet: HeldPacket): void {
    try {
      interceptor.release(packet);
    } catch {}
  }

  /** Through which interfaces inside hosts' packets come in; null where that is not known. */
  function learn(found: Ingress | null): void {
    ingress = found;
    inspector.learn(found);
  }

  return { pass, drain, passCulprit, learn, times, fidelity: () => ({ ...fidelity.counts }) };
}

export type Passage = ReturnType<typeof createPassage>;

/** Who sent which packet to whom, for a log. */
function packetText(bytes: Buffer): string {
  const view = readPacket(bytes);
  const name = `${bytes.length} bytes, fingerprint ${fingerprintOf(bytes)}`;
  if (typeof view === 'string') return `${name}, ${view}`;
  const { protocol, source, sourcePort, destination, destinationPort } = view;
  return `${protocol} ${source} port ${sourcePort} > ${destination} port ${destinationPort}, ${name}`;
}
