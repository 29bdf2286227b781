/** Single rules into shards and out of them, all of a change or nothing. */
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { ParentAndShards } from './family.ts';
import { isExisting, isInvalid, isNotKnown } from './refusal.ts';
import type { PinholeRule, RuleKind } from './rule.ts';
import type { Placed, Shard } from './shard.ts';
import { type NewRule, type PoolTicket, replaceRulesets } from './transaction.ts';

/** A rule to add to or to remove from one shard. */
export interface Step {
  readonly shard: Shard;
  readonly add: boolean;
  readonly rule: PinholeRule;
}

interface Stepper {
  /**
   * All of the steps, or none: those that were done are taken back. A step that is done already is none. Throws
   * SystemError.
   */
  apply(steps: readonly Step[]): void;
  /** Somebody else's change was seen, or one of ours could not be taken back, since all was read last. */
  readonly doubtful: boolean;
  /** All was read. */
  trust(): void;
}

interface StepperDeps {
  readonly pool: PoolTicket;
  readonly families: Readonly<Record<RuleKind, ParentAndShards>>;
  readonly encode: (rule: PinholeRule) => NewRule;
  /** Changes rules one by one (DIOCCHANGERULE), as long as the kernel knows how. */
  readonly singly: boolean;
}

export function createStepper(pf: Pf, { pool, families, encode, ...options }: StepperDeps): Stepper {
  let { singly } = options;
  let doubtful = false;

  function apply(steps: readonly Step[]): void {
    for (const { rule } of steps) if (!families[rule.kind].present) families[rule.kind].install();
    if (singly) changeSingly(steps);
    else recommit(steps);
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
      singly = false;
    }
  }

  function take(step: Step): void {
    try {
      change(step);
    } catch (error) {
      if (!(isInvalid(error) || isExisting(error))) throw error;
      doubtful = true;
      families[step.rule.kind].parent.install();
      step.shard.read();
      change(step);
    }
  }

  function change({ shard, add, rule }: Step): void {
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
    if (steps.length === 0) return;
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

  return {
    apply,
    get doubtful() {
      return doubtful;
    },
    trust() {
      doubtful = false;
    },
  };
}
