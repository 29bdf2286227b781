import type { Address } from '../address/address.ts';
import type { Change } from '../pinhole/change.ts';
import { createOpeningIndex, type Flow, lets } from '../pinhole/opening.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { type Firewall, FirewallError, type LastCounts, type Traffic } from './firewall.ts';

export interface Answer {
  readonly passes: boolean;
  /** The pinhole whose rule or state let it through. Null where none would: the egress rule's state did. */
  readonly pinhole: string | null;
  /** A rule made a new state, a state was there already, or neither. */
  readonly by: 'rule' | 'state' | null;
}

export interface ModelFirewall extends Firewall {
  /** Would this packet pass at `now` (ms)? Makes and refreshes states as a packet filter does. */
  ask(flow: Flow, bytes: number, now: number): Answer;
}

export interface ModelOptions {
  /** ms without a packet after which a state is gone (pf.conf(5) udp.multiple). */
  readonly stateTimeout?: number;
  /** The administrator's own rule for what inside hosts may send. It keeps state, so answers pass. */
  readonly egress?: (flow: Flow) => boolean;
}

interface State {
  /** Null: the egress rule made it. */
  pinhole: string | null;
  readonly flows: readonly [along: Flow, back: Flow];
  seenAt: number;
}

const BLOCKED: Answer = { passes: false, pinhole: null, by: null };

/**
 * A packet filter in memory: default deny but for `egress`, rules that keep state, replies passing by state, states
 * that outlive their rule until they are killed or idle. Which rule made a state does not matter to `killStates`:
 * where the inside host sends first, that is never a pinhole's.
 */
export function createModelFirewall({
  stateTimeout = 60_000,
  egress = () => false,
}: ModelOptions = {}): ModelFirewall {
  const open = new Map<string, { pinhole: Pinhole; packets: number; bytes: number }>();
  const index = createOpeningIndex<Pinhole>();
  /** By the flow of either direction. */
  const states = new Map<string, State>();
  /** By either end: a pinhole has one address and few ports. */
  const byEnd = new Map<string, Set<State>>();

  function commit(change: Change): LastCounts {
    const added: Pinhole[] = [];
    for (const pinhole of change.open) {
      if (open.has(pinhole.id)) {
        for (const one of added) remove(one);
        throw new FirewallError(`pinhole is open already: ${pinhole.id}`, 'EEXIST');
      }
      insert(pinhole);
      added.push(pinhole);
    }
    const counts = new Map<string, Traffic>();
    for (const { id } of change.close) {
      const closing = open.get(id);
      if (closing === undefined) continue;
      counts.set(id, { packets: closing.packets, bytes: closing.bytes });
      remove(closing.pinhole);
    }
    return counts;
  }

  function insert(pinhole: Pinhole): void {
    open.set(pinhole.id, { pinhole, packets: 0, bytes: 0 });
    index.add(pinhole);
  }

  function remove({ id }: Pinhole): void {
    const known = open.get(id);
    if (known === undefined) return;
    open.delete(id);
    index.remove(known.pinhole);
  }

  function ask(flow: Flow, bytes: number, now: number): Answer {
    const state = states.get(keyOf(flow));
    if (state !== undefined) {
      if (now - state.seenAt <= stateTimeout) {
        state.seenAt = now;
        const pinhole = state.pinhole ?? index.find(flow)?.id ?? null;
        count(pinhole, bytes);
        return { passes: true, pinhole, by: 'state' };
      }
      drop(state);
    }
    const pinhole = index.find(flow)?.id ?? null;
    if (pinhole === null && !egress(flow)) return BLOCKED;
    keep({ pinhole, flows: [flow, reverse(flow)], seenAt: now });
    count(pinhole, bytes);
    return { passes: true, pinhole, by: 'rule' };
  }

  function count(id: string | null, bytes: number): void {
    const one = id === null ? undefined : open.get(id);
    if (one === undefined) return;
    one.packets++;
    one.bytes += bytes;
  }

  function keep(state: State): void {
    for (const flow of state.flows) {
      states.set(keyOf(flow), state);
      const end = endOf(flow.destination, flow.destinationPort);
      const others = byEnd.get(end);
      if (others === undefined) byEnd.set(end, new Set([state]));
      else others.add(state);
    }
  }

  function drop(state: State): void {
    for (const flow of state.flows) {
      if (states.get(keyOf(flow)) === state) states.delete(keyOf(flow));
      const end = endOf(flow.destination, flow.destinationPort);
      const others = byEnd.get(end);
      if (others?.delete(state) && others.size === 0) byEnd.delete(end);
    }
  }

  function killStates(closed: readonly Pinhole[]): number {
    let killed = 0;
    for (const pinhole of closed) {
      for (let port = pinhole.ports[0]; port <= pinhole.ports[1]; port++) {
        for (const state of [...(byEnd.get(endOf(pinhole.address, port)) ?? [])]) {
          const flow = state.flows.find((one) => lets(pinhole, one));
          if (flow === undefined) continue;
          const still = index.find(flow);
          if (still !== null) {
            if (state.pinhole === pinhole.id) state.pinhole = still.id;
            continue;
          }
          drop(state);
          killed++;
        }
      }
    }
    return killed;
  }

  function clear(): void {
    open.clear();
    index.clear();
    states.clear();
    byEnd.clear();
  }

  return {
    commit,
    ask,
    killStates,
    list: () => [...open.values()].map(({ pinhole }) => pinhole),
    traffic: () =>
      new Map([...open].map(([id, { packets, bytes }]): [string, Traffic] => [id, { packets, bytes }])),
    clear,
    close: clear,
  };
}

function reverse({ protocol, source, sourcePort, destination, destinationPort }: Flow): Flow {
  return {
    protocol,
    source: destination,
    sourcePort: destinationPort,
    destination: source,
    destinationPort: sourcePort,
  };
}

function keyOf({ protocol, source, sourcePort, destination, destinationPort }: Flow): string {
  return `${protocol} ${source} ${sourcePort} ${destination} ${destinationPort}`;
}

function endOf(address: Address, port: number): string {
  return `${address} ${port}`;
}
