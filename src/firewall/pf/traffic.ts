/**
 * What passed through pinholes, from the states of their flows. Where the kernel does not tell its states, or has too
 * many, from the counters of the rules: see flows.ts for what those cannot tell.
 */
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import { openingId } from '../../pinhole/opening.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import {
  type LastCounts,
  NOT_COUNTED,
  type Traffic,
  type TrafficReading,
  type TwoWayTraffic,
} from '../firewall.ts';
import { createFlowCounter } from './flows.ts';
import { shardNames } from './parent.ts';
import { anywhere, assemble, decodeRule, type PinholeRule, passRulesOf } from './rule.ts';
import { readRules, readWhole } from './ruleset.ts';
import { readStates } from './states.ts';

interface TrafficCounter {
  /**
   * Reads every rule, some 0.1 ms for each, and every state. Throws SystemError. Where rules count, pinholes whose rule was
   * made anew, and whose media does not pass by that rule, are uncounted: it has a state that the rule before it made,
   * which counts for nobody. Without that state the next packet makes one that counts. Who sent what is told by states only.
   */
  count(): TrafficReading;
  /** What these had passed, which were closed a moment ago, by the states of their flows. */
  last(closed: readonly Pinhole[], states: Buffer | null): LastCounts;
}

interface Counted extends TwoWayTraffic {
  readonly rule: PinholeRule;
}

/** For as many counts a rule that was not read is counted: its anchor may have changed meanwhile. */
const ABSENT = 2;

/** `clock` in ms. */
export function createTrafficCounter(
  pf: Pf,
  anchor: string,
  clock = () => performance.now(),
): TrafficCounter {
  const flows = createFlowCounter();
  /** Rules of which flows are counted, and for how many counts they have been gone. */
  const watched = new Map<string, { rule: PinholeRule; absent: number }>();
  let before = new Map<string, Counted>();
  /** Rules that were made anew, by key. */
  let restarted = new Set<string>();

  function count(): TrafficReading {
    const now = new Map<string, Counted>();
    for (const name of shardNames(pf, anchor)) readShard(pf, `${anchor}/${name}`, now);
    const states = readStates(pf);
    if (states !== null) {
      const rules = watch(now);
      const counted = flows.count(rules, states, clock());
      flows.keep(watched, clock());
      return { counts: byPinhole(rules, counted), uncounted: [] };
    }
    const again = new Set<string>();
    const stuck: PinholeRule[] = [];
    for (const [key, { rule, packets }] of now) {
      if (packets < (before.get(key)?.packets ?? 0)) again.add(key);
      else if (packets === 0 && restarted.has(key) && rule.protocol === 'udp') stuck.push(rule);
    }
    before = now;
    restarted = again;
    const rules = [...now.values()].map(({ rule }) => rule);
    return { counts: byPinhole(rules, now), uncounted: assemble(stuck).map(({ pinhole }) => pinhole) };
  }

  /** The rules there are, and for a while those that were there before. */
  function watch(now: ReadonlyMap<string, Counted>): PinholeRule[] {
    for (const [key, one] of watched) if (++one.absent > ABSENT) watched.delete(key);
    for (const [key, { rule }] of now) watched.set(key, { rule, absent: 0 });
    return [...watched.values()].map(({ rule }) => rule);
  }

  function last(closed: readonly Pinhole[], states: Buffer | null): LastCounts {
    if (states === null || closed.length === 0) return NOT_COUNTED;
    const rules = new Map(closed.flatMap(passRulesOf).map((rule) => [rule.key, rule]));
    const counted = flows.count(rules.values(), states, clock());
    for (const key of rules.keys()) watched.delete(key);
    return new Map<string, Traffic>(
      closed.map((pinhole) => {
        const { packets, bytes } = total(passRulesOf(pinhole), counted);
        return [pinhole.id, { packets, bytes }];
      }),
    );
  }

  return { count, last };
}

function readShard(pf: Pf, path: string, into: Map<string, Counted>): void {
  for (const found of readWhole(() => readRules(pf, path))) {
    const decoded = decodeRule({ rule: found, pool: null });
    if (decoded === null) continue;
    const rule = anywhere(decoded);
    // A packet that is forwarded counts on its way in and on its way out.
    const packets = Math.max(...found.packets.map(Number));
    const bytes = Math.max(...found.bytes.map(Number));
    const other = into.get(rule.key);
    into.set(rule.key, {
      rule,
      packets: packets + (other?.packets ?? 0),
      bytes: bytes + (other?.bytes ?? 0),
      sent: null,
    });
  }
}

/**
 * Sums the rules of each pinhole. Two pinholes of a stream may share rules, and the rules do not say how: each
 * source of several gets its own entry as well, so that whichever there is finds itself.
 */
function byPinhole(
  all: readonly PinholeRule[],
  counted: ReadonlyMap<string, TwoWayTraffic>,
): Map<string, TwoWayTraffic> {
  const result = new Map<string, TwoWayTraffic>();
  for (const { pinhole, rules } of assemble(all)) {
    for (const rule of rules) {
      if (rules.length === 1 || rule.source === null) continue;
      result.set(openingId({ ...pinhole, sources: [rule.source] }), total([rule], counted));
    }
    result.set(pinhole.id, total(rules, counted));
  }
  return result;
}

function total(rules: readonly PinholeRule[], counted: ReadonlyMap<string, TwoWayTraffic>): TwoWayTraffic {
  let [packets, bytes] = [0, 0];
  let sent: number | null = 0;
  for (const { key } of rules) {
    const one = counted.get(key);
    if (one === undefined) continue;
    packets += one.packets;
    bytes += one.bytes;
    sent = sent === null || one.sent === null ? null : sent + one.sent;
  }
  return { packets, bytes, sent };
}
