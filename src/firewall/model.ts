import type { Address } from '../address/address.ts';
import type { Change } from '../pinhole/change.ts';
import { createOpeningIndex, type Flow, lets, type Opening, reverse } from '../pinhole/opening.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { createPlaceChanges } from '../pinhole/place-changes.ts';
import { deviationOf } from './deviation.ts';
import {
  type Firewall,
  type FirewallControl,
  FirewallError,
  type LastCounts,
  NOT_COUNTED,
  type Retired,
  type Retirement,
  type Traffic,
  type TrafficReading,
  type TwoWayTraffic,
} from './firewall.ts';

export interface Passage {
  readonly passes: boolean;
  /** The pinhole whose rule or state let it through. Null where none would: the egress rule's state did. */
  readonly pinhole: string | null;
  /** A rule made a new state, a state was there already, or neither. */
  readonly by: 'rule' | 'state' | null;
}

export interface ModelFirewall extends Firewall, FirewallControl {
  /** Ends the states that only these pinholes let through; how many there were. */
  killStates(closed: readonly Pinhole[]): number;
  /** Would this packet pass at `now` (ms)? Makes and refreshes states as a packet filter does. */
  ask(flow: Flow, bytes: number, now: number): Passage;
  /** Ids of the pinholes to where this flow comes from, for what comes from where it goes: their host sends. */
  answered(flow: Flow): string[];
  /** The same two questions about the packets of one flow, where there are many of them. */
  asked(flow: Flow): AskedFlow;
}

/** What was found for one packet of a flow serves the next, for as long as nothing changes where it goes or comes from. */
export interface AskedFlow {
  ask(bytes: number, now: number): Passage;
  answered(): readonly string[];
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
  /** What `ask` answers as long as `pinhole` is this. */
  passage: Passage;
  /** It, or another in its place, has to be looked for again. */
  isStale: boolean;
  /** Both directions, each by every address that the inside host has. */
  readonly flows: readonly KnownFlow[];
  seenAt: number;
}

/** With what it is found by. */
interface KnownFlow {
  readonly flow: Flow;
  readonly key: string;
  /** Where it goes. */
  readonly end: string;
}

/** A pinhole as packets have it at one place: with the inside host's own address, or with one from outside. */
interface View extends Opening {
  readonly pinhole: Pinhole;
}

const BLOCKED: Passage = { passes: false, pinhole: null, by: null };

/**
 * A packet filter in memory: default deny but for `egress`, rules that keep state, replies passing by state, states
 * that outlive their rule until they are killed or idle. Which rule made a state does not matter to `retire, killStates`:
 * where the inside host sends first, that is never a pinhole's. Where a pinhole has a translation, packets are known
 * by the addresses of either side of it.
 */
export function createModelFirewall({
  stateTimeout = 60_000,
  egress = () => false,
}: ModelOptions = {}): ModelFirewall {
  const open = new Map<string, { views: readonly View[]; packets: number; bytes: number }>();
  const index = createOpeningIndex<View>();
  /** By the flow of either direction. */
  const states = new Map<string, State>();
  /** By either end: a pinhole has one address and few ports. */
  const byEnd = new Map<string, Set<State>>();
  /** Where pinholes open and close, and states begin. */
  const places = createPlaceChanges();

  function commit(change: Change): LastCounts {
    const added: Pinhole[] = [];
    for (const pinhole of change.open) {
      if (open.has(pinhole.id)) {
        for (const one of added) remove(one.id);
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
      remove(id);
    }
    return counts;
  }

  function insert(pinhole: Pinhole): void {
    const views = viewsOf(pinhole);
    open.set(pinhole.id, { views, packets: 0, bytes: 0 });
    for (const view of views) {
      index.add(view);
      noteChange(view);
    }
  }

  function remove(id: string): void {
    for (const view of open.get(id)?.views ?? []) {
      index.remove(view);
      noteChange(view);
    }
    open.delete(id);
  }

  function noteChange({ address, ports }: View): void {
    for (let port = ports[0]; port <= ports[1]; port++) places.changed(address, port);
  }

  function ask(flow: Flow, bytes: number, now: number): Passage {
    const state = states.get(keyOf(flow));
    if (state !== undefined) {
      if (now - state.seenAt <= stateTimeout) {
        return passed(state, flow, bytes, now);
      }
      drop(state);
    }
    const view = index.find(flow);
    if (view === null && !egress(flow)) return BLOCKED;
    const pinhole = view?.pinhole.id ?? null;
    const translated = view ?? index.find(reverse(flow));
    const flows = translated === null ? bothWays(flow) : flowsOf(flow, translated);
    keep({ pinhole, passage: byState(pinhole), isStale: false, flows: flows.map(knownFlow), seenAt: now });
    count(pinhole, bytes);
    return { passes: true, pinhole, by: 'rule' };
  }

  /** By a state that is there. */
  function passed(state: State, flow: Flow, bytes: number, now: number): Passage {
    state.seenAt = now;
    const own = state.pinhole !== null;
    const passage = own ? state.passage : byState(index.find(flow)?.pinhole.id ?? null);
    count(passage.pinhole, bytes);
    return passage;
  }

  function asked(flow: Flow): AskedFlow {
    const key = keyOf(flow);
    const goesTo = places.slotOf(flow.destination, flow.destinationPort);
    const comesFrom = places.slotOf(flow.source, flow.sourcePort);
    let state: State | null = null;
    let blockedAs = -1;
    let answering: readonly string[] = [];
    let answeringAs = -1;

    function askAgain(bytes: number, now: number): Passage {
      if (state !== null && !state.isStale && now - state.seenAt <= stateTimeout)
        return passed(state, flow, bytes, now);
      if (places.at(goesTo) === blockedAs) return BLOCKED;
      const passage = ask(flow, bytes, now);
      state = states.get(key) ?? null;
      blockedAs = passage.passes ? -1 : places.at(goesTo);
      return passage;
    }

    return {
      ask: askAgain,
      answered() {
        if (places.at(comesFrom) !== answeringAs) {
          answering = answered(flow);
          answeringAs = places.at(comesFrom);
        }
        return answering;
      },
    };
  }

  function answered(flow: Flow): string[] {
    return index.all(reverse(flow)).map(({ pinhole }) => pinhole.id);
  }

  function count(id: string | null, bytes: number): void {
    const one = id === null ? undefined : open.get(id);
    if (one === undefined) return;
    one.packets++;
    one.bytes += bytes;
  }

  function keep(state: State): void {
    for (const { flow, key, end } of state.flows) {
      const before = states.get(key);
      if (before !== undefined) before.isStale = true;
      states.set(key, state);
      places.changed(flow.destination, flow.destinationPort);
      const others = byEnd.get(end);
      if (others === undefined) byEnd.set(end, new Set([state]));
      else others.add(state);
    }
  }

  function drop(state: State): void {
    state.isStale = true;
    for (const { key, end } of state.flows) {
      if (states.get(key) === state) states.delete(key);
      const others = byEnd.get(end);
      if (others?.delete(state) && others.size === 0) byEnd.delete(end);
    }
  }

  function killStates(closed: readonly Pinhole[]): number {
    let killed = 0;
    for (const pinhole of closed) {
      for (let port = pinhole.ports[0]; port <= pinhole.ports[1]; port++) {
        const there = byEnd.get(endOf(pinhole.address, port));
        if (there === undefined) continue;
        for (const state of [...there]) {
          const flow = state.flows.find((one) => lets(pinhole, one.flow))?.flow;
          if (flow === undefined) continue;
          const still = index.find(flow);
          if (still !== null) {
            if (state.pinhole === pinhole.id) {
              state.pinhole = still.pinhole.id;
              state.passage = byState(state.pinhole);
            }
            continue;
          }
          drop(state);
          killed++;
        }
      }
    }
    return killed;
  }

  const retire = ({ closed = [] }: Retirement): Retired => ({
    states: killStates(closed),
    counts: NOT_COUNTED,
  });

  const list = () => [...open.values()].map(({ views }) => views[0]!.pinhole);

  function traffic(): TrafficReading {
    const counts = new Map<string, TwoWayTraffic>();
    for (const [id, { packets, bytes }] of open) counts.set(id, { packets, bytes, sent: null });
    return { counts, uncounted: [] };
  }

  function clear(): void {
    for (const state of [...states.values()]) drop(state);
    for (const id of [...open.keys()]) remove(id);
    index.clear();
    states.clear();
    byEnd.clear();
  }

  return {
    commit,
    ask,
    answered,
    asked,
    list,
    intact: () => true,
    traffic,
    compare: (intended) => deviationOf(list().map(idOf), intended.map(idOf)),
    retire,
    killStates,
    clear,
    close: clear,
  };
}

function byState(pinhole: string | null): Passage {
  return { passes: true, pinhole, by: 'state' };
}

/** The first is the pinhole as it is. */
function viewsOf(pinhole: Pinhole): [View, ...View[]] {
  const { direction, protocol, sources, sourcePort, address, ports, translation } = pinhole;
  const own: View = { direction, protocol, sources, sourcePort, address, ports, translation, pinhole };
  if (translation === null) return [own];
  const outer = outerAddresses(pinhole);
  if (pinhole.direction === 'in') return [own, ...outer.map((address) => ({ ...own, address }))];
  return [own, ...outer.map((source) => ({ ...own, sources: [source] }))];
}

function outerAddresses({ translation }: Opening): Address[] {
  return translation === null ? [] : [...new Set([translation.external, translation.arrivesAt])];
}

/** `flow` is along the view or back. */
function flowsOf(flow: Flow, view: View): Flow[] {
  const { pinhole } = view;
  const end = (pinhole.direction === 'in') === lets(view, flow) ? 'destination' : 'source';
  const own = pinhole.direction === 'in' ? pinhole.address : flow[end];
  if (pinhole.translation === null && own === flow[end]) return bothWays(flow);
  const addresses = new Set([flow[end], own, ...outerAddresses(pinhole)]);
  return [...addresses].flatMap((address) => bothWays({ ...flow, [end]: address }));
}

function bothWays(flow: Flow): Flow[] {
  return [flow, reverse(flow)];
}

function keyOf({ protocol, source, sourcePort, destination, destinationPort }: Flow): string {
  return `${protocol} ${source} ${sourcePort} ${destination} ${destinationPort}`;
}

function knownFlow(flow: Flow): KnownFlow {
  return { flow, key: keyOf(flow), end: endOf(flow.destination, flow.destinationPort) };
}

function idOf({ id }: Pinhole): string {
  return id;
}

function endOf(address: Address, port: number): string {
  return `${address} ${port}`;
}
