/**
 * Pinholes in pf: rules in shard anchors below one anchor of our own (`pinholed/00`...), changed one by one with
 * DIOCCHANGERULE while packets pass. The administrator's ruleset says where that anchor stands.
 */
import { SystemError } from '../../native-bindings/errno.ts';
import { PF_RULESET_FILTER } from '../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../native-bindings/freebsd/pf.ts';
import type { Change } from '../pinhole/change.ts';
import { createOpeningIndex, type Flow, type Opening, type OpeningIndex } from '../pinhole/opening.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { type Deviation, deviationOf } from './deviation.ts';
import {
  type Firewall,
  type FirewallControl,
  FirewallError,
  type LastCounts,
  NOT_COUNTED,
} from './firewall.ts';
import { guarded, isInvalid, isNotKnown, persist } from './pf/attempt.ts';
import { type Layout, layOut } from './pf/layout.ts';
import { createParent, shardNames } from './pf/parent.ts';
import {
  assemble,
  decodeRule,
  encodeRule,
  openingOf,
  type PinholeRule,
  type RuleStyle,
  rulesOf,
} from './pf/rule.ts';
import { readRules, readWhole } from './pf/ruleset.ts';
import { createShard, type Placed, poolTicket, type Shard } from './pf/shard.ts';
import { killStatesOf } from './pf/states.ts';
import { createTrafficCounter } from './pf/traffic.ts';

export interface PfOptions {
  /** Name of the anchor that is ours. */
  readonly anchor: string;
  /** How many shards at most. */
  readonly shards: number;
  /** Destination ports that pinholes are expected to have: the shards are of equal size over these. */
  readonly mediaPorts: readonly (readonly [first: number, last: number])[];
  /** How new rules look; asked for each, so that a reload takes effect. */
  readonly style: () => RuleStyle;
}

export interface PfFirewall extends Firewall {
  /**
   * Whether the kernel holds exactly the rules that were committed: one ioctl for each shard. `lost` leads to
   * `list`, which puts the anchors back, and a comparison.
   */
  verify(): 'intact' | 'lost';
  /** How single rules are changed: `recommit` where this kernel refuses DIOCCHANGERULE. */
  method(): 'change' | 'recommit';
}

/** A rule to add to or to remove from one shard. */
interface Step {
  readonly shard: Shard;
  readonly add: boolean;
  readonly rule: PinholeRule;
}

/** A pinhole as it stands in the shards. */
interface Open {
  readonly pinhole: Pinhole;
  readonly rules: readonly PinholeRule[];
}

/**
 * The firewall over an open /dev/pf, with its anchor rules loaded. Rules that are in the shards already stay, for
 * `list` to show them; what of it is no pinhole of ours is removed by `list`. Throws FirewallError.
 */
export function openPfFirewall(pf: Pf, options: PfOptions): PfFirewall {
  const { anchor, style } = options;
  const pool = poolTicket(pf);
  const layout = layOut(options.mediaPorts, options.shards);
  const shards = layout.names.map((name) => createShard(pf, `${anchor}/${name}`, pool));
  const parent = createParent(pf, anchor, layout, pool);
  const open = new Map<string, Open>();
  /** By rule key, how many open pinholes have it. A rule that belongs to several is there once. */
  const holders = new Map<string, number>();
  /** Somebody else's change was seen, or one of ours could not be taken back. */
  let doubtful = false;
  let method: 'change' | 'recommit' = 'change';

  /** Anchors as they should be, shards as they are. Leftovers of another layout are emptied. */
  function install(): void {
    persist(() => parent.install());
    for (const name of shardNames(pf, anchor)) {
      if (!layout.names.includes(name)) persist(() => empty(pf, [`${anchor}/${name}`]));
    }
    for (const shard of shards) if (!shard.intact()) shard.read();
  }

  function commit({ open: opening, close: closing }: Change): LastCounts {
    const { steps, opened, counts } = plan(opening, closing);
    guarded(() => {
      if (method === 'change') changeSingly(steps);
      else recommit(steps);
    });
    for (const { id } of closing) open.delete(id);
    for (const one of opened) open.set(one.pinhole.id, one);
    for (const [key, count] of counts) {
      if (count === 0) holders.delete(key);
      else holders.set(key, count);
    }
    return NOT_COUNTED;
  }

  /** Additions first. A rule is added for the first pinhole that has it and removed with the last. */
  function plan(
    opening: readonly Pinhole[],
    closing: readonly Pinhole[],
  ): { steps: Step[]; opened: Open[]; counts: Map<string, number> } {
    const counts = new Map<string, number>();
    const count = (key: string) => counts.get(key) ?? holders.get(key) ?? 0;
    const opened: Open[] = [];
    const touched = new Map<string, PinholeRule>();
    for (const pinhole of opening) {
      if (open.has(pinhole.id)) throw new FirewallError(`pinhole is open already: ${pinhole.id}`, 'EEXIST');
      const rules = rulesOf(pinhole);
      opened.push({ pinhole, rules });
      for (const rule of rules) {
        touched.set(rule.key, rule);
        counts.set(rule.key, count(rule.key) + 1);
      }
    }
    for (const { id } of closing) {
      for (const rule of open.get(id)?.rules ?? []) {
        touched.set(rule.key, rule);
        counts.set(rule.key, count(rule.key) - 1);
      }
    }
    const added: Step[] = [];
    const removed: Step[] = [];
    for (const rule of touched.values()) {
      const before = (holders.get(rule.key) ?? 0) > 0;
      const after = counts.get(rule.key)! > 0;
      if (before === after) continue;
      const steps = shardsOf(rule).map((shard) => ({ shard, add: after, rule }));
      (after ? added : removed).push(...steps);
    }
    return { steps: [...added, ...removed], opened, counts };
  }

  /** The shards of a rule's ports: two where its range reaches over a border. */
  function shardsOf({ ports }: PinholeRule): Shard[] {
    return shards.slice(layout.shardOf(ports[0]), layout.shardOf(ports[1]) + 1);
  }

  function changeSingly(steps: readonly Step[]): void {
    const done: Step[] = [];
    try {
      for (const step of steps) {
        take(step);
        done.push(step);
      }
    } catch (error) {
      takeBack(done);
      if (!isNotKnown(error) && !isInvalid(error)) throw error;
      recommit(steps);
      method = 'recommit';
    }
  }

  function take(step: Step): void {
    try {
      applyStep(step);
    } catch (error) {
      if (!(isInvalid(error) || isExisting(error))) throw error;
      doubtful = true;
      parent.install();
      step.shard.read();
      applyStep(step);
    }
  }

  function applyStep({ shard, add, rule }: Step): void {
    if (!add) shard.remove(rule.key);
    else if (!shard.has(rule.key)) shard.add(rule, style());
  }

  function takeBack(done: readonly Step[]): void {
    for (const step of [...done].reverse()) {
      try {
        take({ ...step, add: !step.add });
      } catch {
        doubtful = true;
        return;
      }
    }
  }

  /** All shards that the steps touch, made anew in one transaction. Their counters begin again. */
  function recommit(steps: readonly Step[]): void {
    const after = new Map<Shard, Placed[]>();
    for (const { shard, add, rule } of steps) {
      const rules = after.get(shard) ?? shard.rules.filter((one) => one.rule !== null);
      const others = rules.filter(({ key }) => key !== rule.key);
      after.set(shard, add ? [...others, { key: rule.key, rule }] : others);
    }
    persist(() => load([...after]));
  }

  function load(contents: readonly (readonly [Shard, readonly Placed[]])[]): void {
    const elements = contents.map(([{ path }]) => ({ ruleset: PF_RULESET_FILTER, anchor: path }));
    if (elements.length === 0) return;
    const transaction = pf.begin(elements);
    try {
      for (const [index, [{ path }, rules]] of contents.entries()) {
        const ticket = transaction.tickets[index]!;
        for (const { rule } of rules) {
          if (rule === null) continue;
          pf.addRule({ ticket, poolTicket: pool.current(), anchor: path, rule: encodeRule(rule, style()) });
        }
      }
      pf.commit(transaction);
    } catch (error) {
      pool.renew();
      pf.rollback(transaction);
      throw error;
    }
    for (const [shard, rules] of contents) shard.replaced(rules);
  }

  function list(): Pinhole[] {
    return guarded(() => {
      install();
      discard();
      doubtful = false;
      return adopt();
    });
  }

  /** Takes out what is no rule of ours, or not where it belongs, or there twice. */
  function discard(): void {
    for (const shard of shards) {
      const seen = new Set<string>();
      const wrong = shard.rules.filter(({ key, rule }) => {
        const right = rule !== null && shardsOf(rule).includes(shard) && !seen.has(key);
        seen.add(key);
        return !right;
      });
      for (const { key } of wrong) shard.remove(key);
    }
  }

  /**
   * Takes the kernel's rules for what is open. A pinhole that we know and whose rules are all there is itself; the
   * other rules make up pinholes that nobody asked for.
   */
  function adopt(): Pinhole[] {
    const there = new Map<string, PinholeRule>();
    for (const shard of shards) {
      for (const { rule } of shard.rules) if (rule !== null) there.set(rule.key, rule);
    }
    const complete = (rule: PinholeRule) => shardsOf(rule).every((shard) => shard.has(rule.key));
    const known = [...open.values()].filter(({ rules }) => rules.every(({ key }) => there.has(key)));
    const spoken = new Set(known.flatMap(({ rules }) => rules.map(({ key }) => key)));
    const rest = [...there.values()].filter(({ key }) => !spoken.has(key));
    open.clear();
    holders.clear();
    for (const one of [...known, ...assemble(rest)]) {
      if (!one.rules.every(complete)) fillIn(one.rules);
      open.set(one.pinhole.id, one);
      for (const { key } of one.rules) holders.set(key, (holders.get(key) ?? 0) + 1);
    }
    return [...open.values()].map(({ pinhole }) => pinhole);
  }

  /** A rule that only one of its two shards has left gets its other half. */
  function fillIn(rules: readonly PinholeRule[]): void {
    for (const rule of rules) {
      for (const shard of shardsOf(rule)) applyStep({ shard, add: true, rule });
    }
  }

  function verify(): 'intact' | 'lost' {
    if (doubtful) return 'lost';
    return guarded(() => parent.intact() && shards.every((shard) => shard.intact())) ? 'intact' : 'lost';
  }

  function clear(): void {
    guarded(() => {
      const paths = shardNames(pf, anchor).map((name) => `${anchor}/${name}`);
      const made = [...open.values()].map(({ pinhole }) => pinhole);
      persist(() => {
        empty(pf, paths);
        parent.remove();
      });
      open.clear();
      holders.clear();
      killStatesOf(pf, made);
    });
  }

  guarded(install);
  const counter = createTrafficCounter(pf, anchor);
  return {
    commit,
    killStates: (closed) => guarded(() => killStatesOf(pf, closed, openNow(pf, anchor, layout))),
    list,
    traffic: () => guarded(counter.count),
    clear,
    close: () => pf.close(),
    verify,
    method: () => method,
  };
}

/** What the control thread does with a /dev/pf of its own: nothing that a packet waits for. */
export function openPfControl(pf: Pf, { anchor, mediaPorts, shards }: PfOptions): FirewallControl {
  const layout = layOut(mediaPorts, shards);
  const counter = createTrafficCounter(pf, anchor);
  const kill = (closed: readonly Pinhole[]) => killStatesOf(pf, closed, openNow(pf, anchor, layout));
  return {
    killStates: (closed) => guarded(() => kill(closed)),
    lastCounts: (closed) => guarded(() => counter.last(closed)),
    traffic: () =>
      guarded(() => {
        const traffic = counter.count();
        killStatesOf(pf, counter.uncounted());
        return traffic;
      }),
    compare: (intended) => guarded(() => compare(pf, anchor, layout, intended)),
    close: () => pf.close(),
  };
}

/** Whether the kernel has a rule that lets packets of a flow pass. Reads a shard at most once. */
function openNow(pf: Pf, anchor: string, layout: Layout): (flow: Flow) => boolean {
  const read = new Map<string, OpeningIndex<Opening>>();
  return (flow) => {
    const name = layout.names[layout.shardOf(flow.destinationPort)]!;
    let index = read.get(name);
    if (index === undefined) {
      const rules = readWhole(pf, `${anchor}/${name}`).map(decodeRule);
      index = createOpeningIndex(rules.flatMap((rule) => (rule === null ? [] : openingOf(rule))));
      read.set(name, index);
    }
    return index.find(flow) !== null;
  };
}

/** Every rule below the anchor, the rules that lead to the shards included. */
function compare(pf: Pf, anchor: string, layout: Layout, intended: readonly Pinhole[]): Deviation {
  const wanted = intended
    .flatMap(rulesOf)
    .flatMap(({ key, ports: [first, last] }) =>
      layout.names
        .slice(layout.shardOf(first), layout.shardOf(last) + 1)
        .map((name) => `${anchor}/${name}: ${key}`),
    );
  const held = shardNames(pf, anchor).flatMap((name) =>
    readRules(pf, `${anchor}/${name}`).map(
      (rule, nr) => `${anchor}/${name}: ${decodeRule(rule)?.key ?? `not a pinhole's, at ${nr}`}`,
    ),
  );
  const found = deviationOf(held, wanted);
  if (createParent(pf, anchor, layout, poolTicket(pf)).isLoaded()) return found;
  return { ...found, missing: [`${anchor}: the rules that lead to the shards`, ...found.missing] };
}

/** Leaves anchors without rules, in one transaction. */
function empty(pf: Pf, anchors: readonly string[]): void {
  if (anchors.length === 0) return;
  pf.commit(pf.begin(anchors.map((anchor) => ({ ruleset: PF_RULESET_FILTER, anchor }))));
}

function isExisting(error: unknown): boolean {
  return error instanceof SystemError && error.code === 'EEXIST';
}
