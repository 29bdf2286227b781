/** What passed through pinholes, from the counters of their rules. */
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import { type Pinhole, pinholeId } from '../../policy/pinhole.ts';
import type { Traffic } from '../firewall.ts';
import { isBusy, isInvalid } from './attempt.ts';
import { shardNames } from './parent.ts';
import { assemble, decodeRule, type PinholeRule } from './rule.ts';

export interface TrafficCounter {
  /** Counters by pinhole id. Reads every rule: some 0.1 ms for each. Throws SystemError. */
  count(): Map<string, Traffic>;
  /**
   * Pinholes whose rule was made anew, and whose media does not pass by that rule: it has a state that the rule
   * before it made, which counts for nobody. Without that state the next packet makes one that counts.
   */
  uncounted(): Pinhole[];
}

interface Counted {
  readonly rule: PinholeRule;
  readonly packets: number;
  readonly bytes: number;
}

export function createTrafficCounter(pf: Pf, anchor: string): TrafficCounter {
  let last = new Map<string, Counted>();
  /** Rules that were made anew, by key. */
  let restarted = new Set<string>();
  let stuck: PinholeRule[] = [];

  function count(): Map<string, Traffic> {
    const now = new Map<string, Counted>();
    for (const name of shardNames(pf, anchor)) readShard(pf, `${anchor}/${name}`, now);
    const again = new Set<string>();
    stuck = [];
    for (const [key, { rule, packets }] of now) {
      if (packets < (last.get(key)?.packets ?? 0)) again.add(key);
      else if (packets === 0 && restarted.has(key) && rule.protocol === 'udp') stuck.push(rule);
    }
    last = now;
    restarted = again;
    return byPinhole(now);
  }

  return { count, uncounted: () => assemble(stuck).map(({ pinhole }) => pinhole) };
}

function readShard(pf: Pf, path: string, into: Map<string, Counted>): void {
  try {
    const { count, ticket } = pf.rules(path);
    for (let nr = 0; nr < count; nr++) {
      const found = pf.rule(path, ticket, nr);
      const rule = decodeRule(found);
      if (rule === null) continue;
      const packets = Number(found.packets[0]! + found.packets[1]!);
      const bytes = Number(found.bytes[0]! + found.bytes[1]!);
      const other = into.get(rule.key);
      into.set(rule.key, {
        rule,
        packets: packets + (other?.packets ?? 0),
        bytes: bytes + (other?.bytes ?? 0),
      });
    }
  } catch (error) {
    // The rules changed under the reader, or their anchor went: what it has seen counts, the rest next time.
    if (!isBusy(error) && !isInvalid(error)) throw error;
  }
}

/**
 * Sums the rules of each pinhole. Two pinholes of a stream may share rules, and the rules do not say how: each
 * source of several gets its own entry as well, so that whichever there is finds itself.
 */
function byPinhole(counted: ReadonlyMap<string, Counted>): Map<string, Traffic> {
  const result = new Map<string, Traffic>();
  for (const { pinhole, rules } of assemble([...counted.values()].map(({ rule }) => rule))) {
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
