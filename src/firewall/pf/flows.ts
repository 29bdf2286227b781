/**
 * What passed by pinholes, from pf's states: each direction by itself, and whichever rule made the state.
 *
 * The counters of a rule cannot tell that. A state passes both directions of a flow, and both count for the rule that
 * made it: of two pinholes of a stream one would have all the packets and the other none. With a ruleset that lets
 * inside hosts send, media that begins inside has its state by that rule, and no pinhole would have any.
 */
import { PF_IN } from '../../../native-bindings/freebsd/constants.ts';
import { type PfState, type StateEnd, statesWith } from '../../../native-bindings/freebsd/pf-states.ts';
import { lets, type Opening } from '../../pinhole/opening.ts';
import type { Traffic, TwoWayTraffic } from '../firewall.ts';
import { openingOf, type PinholeRule } from './rule.ts';
import { flowOf } from './states.ts';

interface FlowCounter {
  /**
   * What came to where each of these rules lets it, and what was sent from there to where it lets in, since the rule is
   * there, by the rule's key. `states` as `Pf.states` gives them; `now` in ms. What a state passed between the last
   * count and its end is not seen.
   */
  count(rules: Iterable<PinholeRule>, states: Buffer, now: number): Map<string, TwoWayTraffic>;
  /** Forgets all rules but these, by key: a rule that comes later is new, and was not there at `now`. */
  keep(keys: { has(key: string): boolean }, now: number): void;
}

interface Target {
  readonly key: string;
  readonly opening: Opening;
}

/** One direction of a state: what it passed, and what of that was before there was the rule. */
interface StateCount {
  readonly all: Traffic;
  readonly before: Traffic;
}

/** A flow as one of the interfaces sees it: by the states there are, and by those there were. */
interface InterfaceCount {
  ended: Traffic;
  live: Map<string, StateCount>;
  /** `live` of the count that is under way. */
  next: Map<string, StateCount>;
}

/** From one transport address to another. A packet that is forwarded passes a state on its way in and one out. */
interface FlowCount {
  readonly in: InterfaceCount;
  readonly out: InterfaceCount;
}

/** What goes one way. */
interface WayCount {
  /** Of flows that have no state any more. */
  past: Traffic;
  readonly flows: Map<string, FlowCount>;
}

/** What goes by one rule, and what the answers to it are. */
interface RuleCount {
  readonly came: WayCount;
  readonly sent: WayCount;
  /** Whether the last count had the rule. */
  known: boolean;
}

const NOTHING: Traffic = { packets: 0, bytes: 0 };

export function createFlowCounter(): FlowCounter {
  const ways = new Map<string, RuleCount>();
  let last: number | null = null;

  function count(rules: Iterable<PinholeRule>, states: Buffer, now: number): Map<string, TwoWayTraffic> {
    const byPort = targetsByPort(rules);
    const keys = new Set([...byPort.values()].flat().map(({ key }) => key));
    for (const key of keys) {
      if (!ways.has(key)) ways.set(key, { came: newWay(), sent: newWay(), known: false });
    }
    // In seconds. A state that is older was there before a rule that is new now.
    const old = last === null ? Number.POSITIVE_INFINITY : (now - last) / 1000 + 1;
    for (const state of statesWith(new Set(byPort.keys()), states)) {
      const { source, destination } = state;
      for (const along of WAYS) {
        const [from, to] = along === 0 ? [source, destination] : [destination, source];
        const targets = byPort.get(to.port);
        if (targets === undefined) continue;
        const flow = flowOf(state, from, to);
        if (flow === null) continue;
        for (const target of targets) {
          if (!lets(target.opening, flow)) continue;
          const { came, sent, known } = ways.get(target.key)!;
          const wasBefore = !known && state.age > old;
          take(came, from, state, along, to, wasBefore);
          take(sent, to, state, along === 0 ? 1 : 0, from, wasBefore);
        }
      }
    }
    return new Map([...keys].map((key) => [key, settleBoth(ways.get(key)!)]));
  }

  return {
    count,
    keep(keys, now) {
      for (const key of ways.keys()) if (!keys.has(key)) ways.delete(key);
      last = now;
    },
  };
}

/** Along the state, and back. */
const WAYS = [0, 1] as const;

function take(
  { flows }: WayCount,
  from: StateEnd,
  state: PfState,
  along: 0 | 1,
  to: StateEnd,
  wasBefore: boolean,
): void {
  const name = `${from.address}:${from.port}>${to.port}`;
  const flow = flows.get(name) ?? { in: newSide(), out: newSide() };
  flows.set(name, flow);
  const side = (state.direction === PF_IN) === (along === 0) ? flow.in : flow.out;
  const all = { packets: state.packets[along], bytes: state.bytes[along] };
  const { id, creatorid } = state.handle;
  const key = `${id}/${creatorid}`;
  const before = side.live.get(key)?.before ?? (wasBefore ? all : NOTHING);
  side.next.set(key, { all, before });
}

/** Ends a count of what went by one rule, and returns the sums. */
function settleBoth(ways: RuleCount): TwoWayTraffic {
  ways.known = true;
  return { ...settle(ways.came), sent: settle(ways.sent).packets };
}

function settle(way: WayCount): Traffic {
  let sum = way.past;
  for (const [name, { in: one, out }] of way.flows) {
    const flow = larger(settleSide(one), settleSide(out));
    sum = plus(sum, flow);
    if (one.live.size > 0 || out.live.size > 0) continue;
    way.past = plus(way.past, flow);
    way.flows.delete(name);
  }
  return sum;
}

function settleSide(side: InterfaceCount): Traffic {
  for (const [id, passed] of side.live) {
    if (!side.next.has(id)) side.ended = plus(side.ended, since(passed));
  }
  side.live = side.next;
  side.next = new Map();
  return [...side.live.values()].map(since).reduce(plus, side.ended);
}

function newWay(): WayCount {
  return { past: NOTHING, flows: new Map() };
}

function newSide(): InterfaceCount {
  return { ended: NOTHING, live: new Map(), next: new Map() };
}

function targetsByPort(rules: Iterable<PinholeRule>): Map<number, Target[]> {
  const byPort = new Map<number, Target[]>();
  for (const rule of rules) {
    const { key, ports } = rule;
    const target = { key, opening: openingOf(rule) };
    for (let port = ports[0]; port <= ports[1]; port++) {
      const others = byPort.get(port);
      if (others === undefined) byPort.set(port, [target]);
      else others.push(target);
    }
  }
  return byPort;
}

function since({ all, before }: StateCount): Traffic {
  return { packets: all.packets - before.packets, bytes: all.bytes - before.bytes };
}

function plus(a: Traffic, b: Traffic): Traffic {
  return { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
}

function larger(a: Traffic, b: Traffic): Traffic {
  return a.packets >= b.packets ? a : b;
}
