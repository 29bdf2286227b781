/**
 * Pinholes in pf: rules in shard anchors below one anchor of our own (`pinholed/00`...), changed one by one with
 * DIOCCHANGERULE while packets pass. The administrator's ruleset says where that anchor stands.
 */
import type { Pf } from '../../native-bindings/freebsd/pf.ts';
import type { Change } from '../pinhole/change.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { guarded } from './attempt.ts';
import { type Firewall, FirewallError, type LastCounts, NOT_COUNTED } from './firewall.ts';
import { type Anchors, createFamily, hasRules, KINDS, RULESETS } from './pf/family.ts';
import { layOut } from './pf/layout.ts';
import { isExisting, isInvalid, isNotKnown } from './pf/refusal.ts';
import type { ReloadGate } from './pf/reload-gate.ts';
import {
  assemble,
  encodeRule,
  type PinholeRule,
  type RuleKind,
  type RuleStyle,
  rulesOf,
  type Uplink,
} from './pf/rule.ts';
import type { Placed, Shard } from './pf/shard.ts';
import { createStatePolicy } from './pf/state-policy.ts';
import { killStatesOf, readStates } from './pf/states.ts';
import { poolTicket, replaceRulesets } from './pf/transaction.ts';

export interface PfOptions {
  /** Paths of the anchors that are ours, for the rules that let through and for those that translate. */
  readonly anchors: Anchors;
  /** How many shards at most. */
  readonly shards: number;
  /** Destination ports that pinholes are expected to have: the shards are of equal size over these. */
  readonly mediaPorts: readonly (readonly [first: number, last: number])[];
  /** How new rules look; asked for each, so that a reload takes effect. */
  readonly style: () => RuleStyle;
  /** Ways in whose packets are answered by the way they came. Not with a tag: then a rule of the administrator decides. */
  readonly uplinks: readonly Uplink[];
  /** Pinholes may bring their own translation: their anchors are loaded at once, and no packet waits for that. */
  readonly translates?: boolean;
  /** Shut while the firewall loads its ruleset; absent: never. */
  readonly gate?: ReloadGate;
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
export function openPfFirewall(pf: Pf, options: PfOptions): Firewall {
  const { anchors, style, uplinks } = options;
  const pool = poolTicket(pf, options.gate);
  const layout = layOut(options.mediaPorts, options.shards);
  const families = mapKinds((kind) => createFamily(pf, { kind, anchor: anchors[kind], layout, pool }));
  const policy = createStatePolicy(pf);
  const gateways = new Map(uplinks.map((uplink) => [uplink.interface, uplink.gateway]));
  const open = new Map<string, Open>();
  /** By rule key, how many open pinholes have it. A rule that belongs to several is there once. */
  const holders = new Map<string, number>();
  /** Somebody else's change was seen, or one of ours could not be taken back. */
  let doubtful = false;
  // A reply-to rule that comes by DIOCCHANGERULE has no address to send to on FreeBSD 15, where DIOCADDRULE alone moves it.
  let method: 'change' | 'recommit' = uplinks.length === 0 ? 'change' : 'recommit';

  const rules = (pinhole: Pinhole) => rulesOf(pinhole, style().tag === null ? uplinks : []);
  const encode = (rule: PinholeRule) => encodeRule(rule, style(), { ifBound: policy.isIfBound(), gateways });
  const present = () => KINDS.map((kind) => families[kind]).filter((family) => family.present);

  /** Those that translate are there from the first translation on, if not expected, or as another run left them. */
  function install(): void {
    policy.read();
    for (const kind of KINDS) {
      const family = families[kind];
      const isOurs =
        kind === 'pass' ||
        options.translates === true ||
        family.present ||
        hasRules(pf, anchors[kind], RULESETS[kind].action);
      if (isOurs) family.install();
    }
  }

  function commit({ open: opening, close: closing }: Change): LastCounts {
    const { steps, opened, counts } = plan(opening, closing);
    guarded(() => {
      for (const { rule } of steps) if (!families[rule.kind].present) families[rule.kind].install();
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

  /**
   * Additions first. A rule is added for the first pinhole that has it and removed with the last. What lets through comes
   * after what translates, and goes before it: no packet passes half translated.
   */
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
      const made = rules(pinhole);
      opened.push({ pinhole, rules: made });
      for (const rule of made) {
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
    const place = ({ rule: { kind } }: Step) => KINDS.indexOf(kind);
    added.sort((a, b) => place(a) - place(b));
    removed.sort((a, b) => place(b) - place(a));
    return { steps: [...added, ...removed], opened, counts };
  }

  const shardsOf = (rule: PinholeRule) => families[rule.kind].shardsOf(rule);

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
      families[step.rule.kind].parent.install();
      step.shard.read();
      applyStep(step);
    }
  }

  function applyStep({ shard, add, rule }: Step): void {
    if (!add) shard.remove(rule.key);
    else if (!shard.has(rule.key)) shard.add(rule, encode(rule));
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
      const known = after.get(shard) ?? shard.rules.filter((one) => one.rule !== null);
      const others = known.filter(({ key }) => key !== rule.key);
      after.set(shard, add ? [...others, { key: rule.key, rule }] : others);
    }
    const contents = [...after].map(([{ path, ruleset }, placed]) => ({
      ruleset,
      anchor: path,
      rules: placed.flatMap(({ rule }) => (rule === null ? [] : encode(rule))),
    }));
    replaceRulesets(pf, pool, contents);
    for (const [shard, placed] of after) shard.replaced(placed);
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
    for (const { shards } of present()) {
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
  }

  /**
   * Takes the kernel's rules for what is open. A pinhole that we know and whose rules are all there is itself; the
   * other rules make up pinholes that nobody asked for, with what they lack. What belongs to no pinhole goes.
   */
  function adopt(): Pinhole[] {
    const there = new Map<string, PinholeRule>();
    for (const { shards } of present()) {
      for (const shard of shards)
        for (const { rule } of shard.rules) if (rule !== null) there.set(rule.key, rule);
    }
    const known = [...open.values()].filter(({ rules: own }) => own.every(({ key }) => there.has(key)));
    const spoken = new Set(known.flatMap(({ rules: own }) => own.map(({ key }) => key)));
    const rest = [...there.values()].filter(({ key }) => !spoken.has(key));
    const assembled = assemble(rest).map(({ pinhole }): Open => ({ pinhole, rules: rules(pinhole) }));
    open.clear();
    holders.clear();
    for (const one of [...known, ...assembled]) {
      fillIn(one.rules);
      open.set(one.pinhole.id, one);
      for (const { key } of one.rules) holders.set(key, (holders.get(key) ?? 0) + 1);
    }
    const lost = rest.filter(({ key }) => !holders.has(key));
    for (const rule of lost) for (const shard of shardsOf(rule)) shard.remove(rule.key);
    return [...open.values()].map(({ pinhole }) => pinhole);
  }

  /** Adds what is not there: a half of a rule in one of its two shards, a translation. */
  function fillIn(wanted: readonly PinholeRule[]): void {
    const steps = wanted.flatMap((rule) =>
      shardsOf(rule).flatMap((shard) => (shard.has(rule.key) ? [] : { shard, add: true, rule })),
    );
    if (steps.length === 0) return;
    for (const { rule } of steps) if (!families[rule.kind].present) families[rule.kind].install();
    if (method === 'change') for (const step of steps) applyStep(step);
    else recommit(steps);
  }

  /** One ioctl for each shard. */
  function intact(): boolean {
    if (doubtful) return false;
    return guarded(() => {
      policy.read();
      return KINDS.every((kind) => families[kind].intact());
    });
  }

  function clear(): void {
    guarded(() => {
      const made = [...open.values()].map(({ pinhole }) => pinhole);
      for (const kind of [...KINDS].reverse()) families[kind].clear();
      open.clear();
      holders.clear();
      killStatesOf(pf, readStates(pf), made);
    });
  }

  guarded(install);
  return { commit, list, intact, clear, close: () => pf.close() };
}

function mapKinds<T>(make: (kind: RuleKind) => T): Readonly<Record<RuleKind, T>> {
  return { pass: make('pass'), rdr: make('rdr'), binat: make('binat') };
}
