/**
 * What passed through pinholes, from the states of their flows. Where the kernel does not tell its states, or has too
 * many, from the counters of the rules: see flows.ts for what those cannot tell.
 */
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { PfRuleReadBack } from '../../../native-bindings/freebsd/pf-nv.ts';
import { type Pinhole, pinholeId } from '../../policy/pinhole.ts';
import type { Traffic } from '../firewall.ts';
import { isBusy, isNotKnown } from './attempt.ts';
import { createFlowCounter } from './flows.ts';
import { shardNames } from './parent.ts';
import { assemble, decodeRule, type PinholeRule, rulesOf } from './rule.ts';
import { readRules } from './ruleset.ts';

export interface TrafficCounter {
  /** Counters by pinhole id; from states, also of those that were `closed` a moment ago. Reads every rule, some 0.1 ms for each, and every state. Throws SystemError. */
  count(closed?: readonly Pinhole[]): Map<string, Traffic>;
  /**
   * Where rules count: pinholes whose rule was made anew, and whose media does not pass by that rule. It has a state
   * that the rule before it made, which counts for nobody. Without that state the next packet makes one that counts.
   */
  uncounted(): Pinhole[];
}

interface Counted {
  readonly rule: PinholeRule;
  readonly packets: number;
  readonly bytes: number;
}

/** More states than this are not read: some 40 MB. */
const MOST_STATES = 100_000;

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
  let last = new Map<string, Counted>();
  /** Rules that were made anew, by key. */
  let restarted = new Set<string>();
  let stuck: PinholeRule[] = [];

  function count(closed: readonly Pinhole[] = []): Map<string, Traffic> {
    const now = new Map<string, Counted>();
    for (const name of shardNames(pf, anchor)) readShard(pf, `${anchor}/${name}`, now);
    const states = statesOf(pf);
    if (states !== null) {
      stuck = [];
      const rules = watch([...[...now.values()].map(({ rule }) => rule), ...closed.flatMap(rulesOf)]);
      return byPinhole(rules, flows.count(rules, states, clock()));
    }
    const again = new Set<string>();
    stuck = [];
    for (const [key, { rule, packets }] of now) {
      if (packets < (last.get(key)?.packets ?? 0)) again.add(key);
      else if (packets === 0 && restarted.has(key) && rule.protocol === 'udp') stuck.push(rule);
    }
    last = now;
    restarted = again;
    return byPinhole(
      [...now.values()].map(({ rule }) => rule),
      now,
    );
  }

  /** These rules, and for a while those that were there before. */
  function watch(rules: readonly PinholeRule[]): PinholeRule[] {
    for (const [key, one] of watched) if (++one.absent > ABSENT) watched.delete(key);
    for (const rule of rules) watched.set(rule.key, { rule, absent: 0 });
    return [...watched.values()].map(({ rule }) => rule);
  }

  return { count, uncounted: () => assemble(stuck).map(({ pinhole }) => pinhole) };
}

function statesOf(pf: Pf): Buffer | null {
  try {
    return pf.states(MOST_STATES);
  } catch (error) {
    if (!isNotKnown(error)) throw error;
    return null;
  }
}

function readShard(pf: Pf, path: string, into: Map<string, Counted>): void {
  for (const found of readWhole(pf, path)) {
    const rule = decodeRule(found);
    if (rule === null) continue;
    // A packet that is forwarded counts on its way in and on its way out.
    const packets = Math.max(...found.packets.map(Number));
    const bytes = Math.max(...found.bytes.map(Number));
    const other = into.get(rule.key);
    into.set(rule.key, {
      rule,
      packets: packets + (other?.packets ?? 0),
      bytes: bytes + (other?.bytes ?? 0),
    });
  }
}

/** No rules where they go on changing under the reader: then the next time counts. */
function readWhole(pf: Pf, path: string): PfRuleReadBack[] {
  try {
    return readRules(pf, path);
  } catch (error) {
    if (isBusy(error)) return [];
    throw error;
  }
}

/**
 * Sums the rules of each pinhole. Two pinholes of a stream may share rules, and the rules do not say how: each
 * source of several gets its own entry as well, so that whichever there is finds itself.
 */
function byPinhole(all: readonly PinholeRule[], counted: ReadonlyMap<string, Traffic>): Map<string, Traffic> {
  const result = new Map<string, Traffic>();
  for (const { pinhole, rules } of assemble(all)) {
    let packets = 0;
    let bytes = 0;
    for (const { key, source } of rules) {
      const own = counted.get(key)!;
      packets += own.packets;
      bytes += own.bytes;
      if (rules.length > 1 && source !== null) {
        result.set(pinholeId({ ...pinhole, sources: [source] }), { packets: own.packets, bytes: own.bytes });
      }
    }
    result.set(pinhole.id, { packets, bytes });
  }
  return result;
}
