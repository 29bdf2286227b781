import type { Address } from '../address/address.ts';
import type { Change } from '../pinhole/change.ts';
import type { Pinhole } from '../policy/pinhole.ts';
import { type Firewall, FirewallError, type LastCounts, type Traffic } from './firewall.ts';

/** The five values a packet filter decides by. */
export interface Flow {
  readonly protocol: 'udp' | 'tcp';
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
}

export interface Answer {
  readonly passes: boolean;
  /** The pinhole whose rule or state let it through. */
  readonly pinhole: string | null;
  /** A rule made a new state, a state was there already, or neither. */
  readonly by: 'rule' | 'state' | null;
}

export interface ModelFirewall extends Firewall {
  /** Would this packet pass at `now` (ms)? Makes and refreshes states as a packet filter does. */
  ask(flow: Flow, bytes: number, now: number): Answer;
}

interface State {
  readonly pinhole: string;
  readonly keys: readonly [string, string];
  seenAt: number;
}

const BLOCKED: Answer = { passes: false, pinhole: null, by: null };

/**
 * A packet filter in memory: default deny, rules that keep state, replies passing by state, states that outlive
 * their rule until they are killed or idle for `stateTimeout` ms (pf.conf(5) udp.multiple).
 */
export function createModelFirewall(stateTimeout = 60_000): ModelFirewall {
  const open = new Map<string, { pinhole: Pinhole; packets: number; bytes: number }>();
  /** Pinhole ids by destination and port: a pinhole has few ports. */
  const byPort = new Map<string, Set<string>>();
  const states = new Map<string, State>();
  const statesOf = new Map<string, Set<State>>();

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
    for (const key of portKeys(pinhole)) {
      const ids = byPort.get(key);
      if (ids === undefined) byPort.set(key, new Set([pinhole.id]));
      else ids.add(pinhole.id);
    }
  }

  function remove(pinhole: Pinhole): void {
    if (!open.delete(pinhole.id)) return;
    for (const key of portKeys(pinhole)) {
      const ids = byPort.get(key)!;
      ids.delete(pinhole.id);
      if (ids.size === 0) byPort.delete(key);
    }
  }

  function ask(flow: Flow, bytes: number, now: number): Answer {
    const forward = `${flow.protocol} ${flow.source} ${flow.sourcePort} ${flow.destination} ${flow.destinationPort}`;
    const state = states.get(forward);
    if (state !== undefined) {
      if (now - state.seenAt <= stateTimeout) {
        state.seenAt = now;
        count(state.pinhole, bytes);
        return { passes: true, pinhole: state.pinhole, by: 'state' };
      }
      drop(state);
    }
    const pinhole = match(flow);
    if (pinhole === null) return BLOCKED;
    const back = `${flow.protocol} ${flow.destination} ${flow.destinationPort} ${flow.source} ${flow.sourcePort}`;
    const made: State = { pinhole: pinhole.id, keys: [forward, back], seenAt: now };
    states.set(forward, made);
    states.set(back, made);
    const siblings = statesOf.get(pinhole.id);
    if (siblings === undefined) statesOf.set(pinhole.id, new Set([made]));
    else siblings.add(made);
    count(pinhole.id, bytes);
    return { passes: true, pinhole: pinhole.id, by: 'rule' };
  }

  function match(flow: Flow): Pinhole | null {
    for (const id of byPort.get(`${flow.protocol} ${flow.destination} ${flow.destinationPort}`) ?? []) {
      const { pinhole } = open.get(id)!;
      const known = pinhole.sources === 'any' || pinhole.sources.includes(flow.source);
      if (known && (pinhole.sourcePort ?? flow.sourcePort) === flow.sourcePort) return pinhole;
    }
    return null;
  }

  function count(id: string, bytes: number): void {
    const one = open.get(id);
    if (one === undefined) return;
    one.packets++;
    one.bytes += bytes;
  }

  function drop(state: State): void {
    for (const key of state.keys) if (states.get(key) === state) states.delete(key);
    statesOf.get(state.pinhole)?.delete(state);
  }

  function killStates(closed: readonly Pinhole[]): number {
    let killed = 0;
    for (const { id } of closed) {
      for (const state of [...(statesOf.get(id) ?? [])]) {
        drop(state);
        killed++;
      }
      statesOf.delete(id);
    }
    return killed;
  }

  function clear(): void {
    open.clear();
    byPort.clear();
    states.clear();
    statesOf.clear();
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

function portKeys({ protocol, address, ports }: Pinhole): string[] {
  const keys: string[] = [];
  for (let port = ports[0]; port <= ports[1]; port++) keys.push(`${protocol} ${address} ${port}`);
  return keys;
}
