/** The anchor above the shards: rules that send a packet into the one shard that has its port. */

import { SystemError } from '../../../native-bindings/errno.ts';
import {
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_BINAT,
  PF_OP_NONE,
  PF_OUT,
} from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { PfRuleReadBack } from '../../../native-bindings/freebsd/pf-nv.ts';
import type { PfRuleValues } from '../../../native-bindings/freebsd/pf-rule.ts';
import type { Layout } from './layout.ts';
import { portRange } from './ports.ts';
import { isInvalid } from './refusal.ts';
import { type PoolTicket, replaceRulesets } from './transaction.ts';

/** The sub-anchor for the rules that hand SIP over, with `fail: open`. No shard has this name. */
export const DIVERT = 'divert';

interface AnchorRule {
  readonly shard: string;
  readonly values: PfRuleValues;
}

const FAMILIES = [AF_INET, AF_INET6] as const;
const PROTOCOLS = [IPPROTO_UDP, IPPROTO_TCP] as const;

/**
 * One rule for each shard, protocol and family: `anchor "03" inet proto udp to port 12288:14335`. In this order a
 * packet of the other family or protocol skips all of them at once (pf's skip steps). What binat translates leaves, from
 * such a port.
 */
function anchorRules({ action }: RuleList, { names, ranges }: Layout): AnchorRule[] {
  return FAMILIES.flatMap((af) =>
    PROTOCOLS.flatMap((proto) =>
      names.map((shard, index) => {
        const ports = portRange(ranges[index]!);
        const ends = action === PF_BINAT ? { direction: PF_OUT, src: ports } : { dst: ports };
        return { shard, values: { action, rtableid: -1, af, proto, ...ends } };
      }),
    ),
  );
}

/** One of pf's lists of rules: its number in a transaction, and an action of its rules. */
export interface RuleList {
  readonly ruleset: number;
  readonly action: number;
}

export interface Parent {
  /** Loads the anchor rules in one transaction, unless they are what the kernel has. Shards are not touched. */
  install(alive?: () => void): void;
  intact(): boolean;
  /** Whether the kernel has exactly these rules, each of them read. */
  isLoaded(): boolean;
  /** Removes them. Shards with rules stay, but no packet comes there. */
  remove(): void;
}

export function createParent(
  pf: Pf,
  { anchor, ...which }: RuleList & { readonly anchor: string },
  layout: Layout,
  pool: PoolTicket,
): Parent {
  const { ruleset, action } = which;
  const wanted = anchorRules(which, layout);
  let ticket = -1;

  const load = (rules: readonly AnchorRule[]) =>
    replaceRulesets(pf, pool, [
      { ruleset, anchor, rules: rules.map(({ shard, values }) => ({ values, anchorCall: shard })) },
    ]);

  function current(): { readonly count: number; readonly ticket: number } | null {
    try {
      return pf.rules(anchor, action);
    } catch (error) {
      if (isInvalid(error)) return null;
      throw error;
    }
  }

  function isLoaded(alive: () => void = () => {}): boolean {
    const found = current();
    if (found === null || found.count !== wanted.length) return false;
    return wanted.every((rule, nr) => {
      alive();
      return isSame(rule, pf.rule(anchor, found.ticket, nr, action));
    });
  }

  return {
    isLoaded,
    install(alive) {
      pool.renew();
      if (!isLoaded(alive)) load(wanted);
      ticket = current()?.ticket ?? -1;
    },
    intact() {
      const found = current();
      return found !== null && found.count === wanted.length && found.ticket === ticket;
    },
    remove: () => load([]),
  };
}

function isSame({ shard, values }: AnchorRule, rule: PfRuleReadBack): boolean {
  const isSameEnd = (end: 'src' | 'dst') =>
    rule[end].port_op === (values[end]?.port_op ?? PF_OP_NONE) &&
    rule[end].port.every((port, index) => port === (values[end]?.port?.[index] ?? 0));
  return (
    rule.anchorCall === shard &&
    rule.action === values.action &&
    rule.direction === (values.direction ?? 0) &&
    rule.quick === 0 &&
    rule.ifname === '' &&
    rule.af === values.af &&
    rule.proto === values.proto &&
    isSameEnd('src') &&
    isSameEnd('dst')
  );
}

/** Names of the anchors below `anchor` that are shards, of this layout or an older one. */
export function shardNames(pf: Pf, anchor: string): string[] {
  try {
    return pf.anchors(anchor).filter((name) => name !== DIVERT);
  } catch (error) {
    if (error instanceof SystemError && (error.code === 'ENOENT' || error.code === 'EINVAL')) return [];
    throw error;
  }
}
