import type { Change } from '../pinhole/change.ts';
import { createOpeningIndex, type Flow } from '../pinhole/opening.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { type Firewall, FirewallError, type LastCounts, type Traffic } from './firewall.ts';

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
  const index = createOpeningIndex<Pinhole>();
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
    index.add(pinhole);
  }

  function remove({ id }: Pinhole): void {
    const known = open.get(id);
    if (known === undefined) return;
    open.delete(id);
    index.remove(known.pinhole);
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
    const pinhole = index.find(flow);
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
    index.clear();
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
