/** The rules of one kind: an anchor of its own, and in it the shards. */
import {
  PF_BINAT,
  PF_PASS,
  PF_RDR,
  PF_RULESET_BINAT,
  PF_RULESET_FILTER,
  PF_RULESET_RDR,
} from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { Layout } from './layout.ts';
import { createParent, type Parent, type RuleList, shardNames } from './parent.ts';
import { isInvalid } from './refusal.ts';
import type { PinholeRule, RuleKind } from './rule.ts';
import { createShard, type Shard } from './shard.ts';
import { type PoolTicket, replaceRulesets } from './transaction.ts';

/** Paths of the anchors by what their rules do. */
export type Anchors = Readonly<Record<RuleKind, string>>;

export const KINDS = ['rdr', 'binat', 'pass'] as const satisfies readonly RuleKind[];

export const RULESETS: Readonly<Record<RuleKind, RuleList>> = {
  pass: { ruleset: PF_RULESET_FILTER, action: PF_PASS },
  rdr: { ruleset: PF_RULESET_RDR, action: PF_RDR },
  binat: { ruleset: PF_RULESET_BINAT, action: PF_BINAT },
};

export interface ParentAndShards {
  readonly parent: Parent;
  readonly shards: readonly Shard[];
  /** Whether its anchor rules were loaded: those that translate are there from the first translation on. */
  readonly present: boolean;
  /**
   * Anchor rules as they should be, shards as they are. Leftovers of another layout are emptied. `alive` is called for
   * each anchor rule and shard that is read.
   */
  install(alive?: () => void): void;
  /** Whether the kernel holds what we know: one ioctl for each shard. True where nothing was loaded. */
  intact(): boolean;
  /** The shards of a rule's ports: two where its range reaches over a border. */
  shardsOf(rule: Pick<PinholeRule, 'ports'>): readonly Shard[];
  /** Leaves no rule behind. */
  clear(): void;
}

export function createFamily(
  pf: Pf,
  { kind, anchor, layout, pool }: { kind: RuleKind; anchor: string; layout: Layout; pool: PoolTicket },
): ParentAndShards {
  const which = RULESETS[kind];
  const { ruleset, action } = which;
  const parent = createParent(pf, { ...which, anchor }, layout, pool);
  const shards = layout.names.map((name) => createShard(pf, `${anchor}/${name}`, which, pool));
  let present = false;

  const empty = (paths: readonly string[]) =>
    replaceRulesets(
      pf,
      pool,
      paths.map((path) => ({ ruleset, anchor: path, rules: [] })),
    );

  function install(alive: () => void = () => {}): void {
    parent.install(alive);
    present = true;
    const strange = shardNames(pf, anchor).filter((name) => !layout.names.includes(name));
    empty(strange.map((name) => `${anchor}/${name}`).filter((path) => hasRules(pf, path, action)));
    for (const shard of shards) {
      if (!shard.intact()) shard.read();
      alive();
    }
  }

  return {
    parent,
    shards,
    get present() {
      return present;
    },
    install,
    intact: () => !present || (parent.intact() && shards.every((shard) => shard.intact())),
    shardsOf: ({ ports }) => shards.slice(layout.shardOf(ports[0]), layout.shardOf(ports[1]) + 1),
    clear() {
      if (!present) return;
      const paths = shardNames(pf, anchor).map((name) => `${anchor}/${name}`);
      empty(paths.filter((path) => hasRules(pf, path, action)));
      parent.remove();
      present = false;
    },
  };
}

/** Whether there is such an anchor with rules of this kind. */
export function hasRules(pf: Pf, anchor: string, action: number): boolean {
  try {
    return pf.rules(anchor, action).count > 0;
  } catch (error) {
    if (isInvalid(error)) return false;
    throw error;
  }
}
