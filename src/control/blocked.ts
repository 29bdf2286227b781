import type { Buffer } from 'node:buffer';
import type { Address } from '../address/address.ts';
import { nameOf } from '../daemon/log/lines.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import type { History } from '../history/history.ts';
import { directionKey } from '../packet/direction.ts';
import { type PacketView, readPacket } from '../packet/ip.ts';

/** Packets from one port to another that the ruleset dropped near a call. Times are in ms of the daemon's clock. */
export interface BlockedFlow {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly firstAt: number;
  lastAt: number;
  /** As many as were logged: the rule has a rate. */
  packets: number;
  /** The latest of them. */
  readonly samples: { readonly at: number; readonly bytes: Buffer }[];
  /** Hashes of the legs that it may be of: those that have, or had, a pinhole to where it goes, else those of its hosts. */
  readonly legIds: readonly string[];
}

export interface BlockedMedia {
  /** Those seen last first. */
  flows(): BlockedFlow[];
  /** How many packets were dropped near each leg. */
  counts(): Map<string, number>;
  /** The same in all, since the start. */
  total(): number;
  close(): void;
}

const EVERY = 500;
const MOST_FLOWS = 500;
const MOST_SAMPLES = 4;
const MOST_LEGS = 4;
/** ms after its end in which packets still belong to a call. */
const AFTER_END = 60_000;

/** Looks at what is dropped all the time: of `blocked.rate` packets a second, and only at what comes near a call. */
export function keepBlocked(
  daemon: RunningDaemon,
  history: Pick<History, 'get' | 'underWay' | 'ended'>,
): BlockedMedia {
  /** By ends, in the order in which they were seen last. */
  const flows = new Map<string, BlockedFlow>();
  const { blocked } = daemon;
  let hasComplained = false;
  let total = 0;
  const timer = blocked === null ? null : setInterval(look, EVERY).unref();

  function look(): void {
    try {
      const { rate } = daemon.settings().blocked;
      const most = Math.ceil((rate * EVERY) / 1000);
      const packets = blocked!.take(10 * most);
      for (const bytes of packets.slice(0, most)) take(bytes, daemon.clock());
    } catch (error) {
      if (!hasComplained) daemon.say('error', `blocked media cannot be read: ${(error as Error).message}`);
      hasComplained = true;
    }
  }

  function take(bytes: Buffer, at: number): void {
    const packet = readPacket(bytes);
    if (typeof packet === 'string' || packet.protocol !== 'udp') return;
    const { source, sourcePort, destination, destinationPort } = packet;
    const key = directionKey(packet);
    let flow = flows.get(key);
    if (flow === undefined) {
      const legIds = legsNear(packet, at);
      if (legIds.length === 0) return;
      const ends = { source, sourcePort, destination, destinationPort };
      flow = { ...ends, firstAt: at, lastAt: at, packets: 0, samples: [], legIds };
      tell(flow);
    }
    flow.lastAt = at;
    flow.packets++;
    total++;
    flow.samples.push({ at, bytes });
    if (flow.samples.length > MOST_SAMPLES) flow.samples.shift();
    flows.delete(key);
    flows.set(key, flow);
    if (flows.size > MOST_FLOWS) flows.delete(flows.keys().next().value!);
  }

  function tell({ source, sourcePort, destination, destinationPort, legIds }: BlockedFlow): void {
    const near = history.get(legIds[0]!);
    const call = near === null ? `call ${legIds[0]}` : nameOf(near.report, daemon.settings().log);
    daemon.say(
      'warn',
      `media near ${call} is dropped by the ruleset: ${source} port ${sourcePort} to ${destination} port ${destinationPort}; pinholed blocked says why`,
    );
  }

  /** Those that hold, or held, a pinhole to where it goes; else those of which one of its hosts is a party. */
  function legsNear({ source, destination, destinationPort }: PacketView, now: number): string[] {
    const byPort: string[] = [];
    const byHost: string[] = [];
    for (const list of [history.underWay(), history.ended()]) {
      for (const { report } of list) {
        if (report.endedAt !== null && now - report.endedAt > AFTER_END) break;
        const { legId, parties, pinholes } = report;
        const own = pinholes.filter(({ address }) => address === destination);
        const isMeant = own.some(({ ports }) => ports[0] <= destinationPort && destinationPort <= ports[1]);
        if (isMeant) byPort.push(legId);
        else if (own.length > 0 || parties.includes(destination) || parties.includes(source))
          byHost.push(legId);
        if (byPort.length === MOST_LEGS) return byPort;
      }
    }
    return byPort.length > 0 ? byPort : byHost.slice(0, MOST_LEGS);
  }

  return {
    flows: () => [...flows.values()].reverse(),
    counts() {
      const counts = new Map<string, number>();
      for (const { legIds, packets } of flows.values()) {
        for (const legId of legIds) counts.set(legId, (counts.get(legId) ?? 0) + packets);
      }
      return counts;
    },
    total: () => total,
    close() {
      if (timer !== null) clearInterval(timer);
    },
  };
}
