/** The anchor above the shards: rules that send a packet into the one shard that has its port. */

import { SystemError } from '../../../native-bindings/errno.ts';
import {
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_OP_EQ,
  PF_OP_RRG,
  PF_PASS,
  PF_RULESET_FILTER,
} from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { PfRuleReadBack } from '../../../native-bindings/freebsd/pf-nv.ts';
import type { PfRuleValues } from '../../../native-bindings/freebsd/pf-rule.ts';
import { isInvalid } from './attempt.ts';
import type { Layout } from './layout.ts';
import type { PoolTicket } from './shard.ts';

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
 * packet of the other family or protocol skips all of them at once (pf's skip steps).
 */
function anchorRules({ names, ranges }: Layout): AnchorRule[] {
  return FAMILIES.flatMap((af) =>
    PROTOCOLS.flatMap((proto) =>
      names.map((shard, index) => {
        const [first, last] = ranges[index]!;
        const one = first === last;
        const dst = { port: [first, one ? 0 : last], port_op: one ? PF_OP_EQ : PF_OP_RRG };
        return { shard, values: { action: PF_PASS, rtableid: -1, af, proto, dst } };
      }),
    ),
  );
}

export interface Parent {
  /** Loads the anchor rules in one transaction, unless they are what the kernel has. Shards are not touched. */
  install(): void;
  intact(): boolean;
  /** Whether the kernel has exactly these rules, each of them read. */
  isLoaded(): boolean;
  /** Removes them. Shards with rules stay, but no packet comes there. */
  remove(): void;
}

export function createParent(pf: Pf, anchor: string, layout: Layout, pool: PoolTicket): Parent {
  const wanted = anchorRules(layout);
  let ticket = -1;

  function load(rules: readonly AnchorRule[]): void {
    const transaction = pf.begin([{ ruleset: PF_RULESET_FILTER, anchor }]);
    try {
      for (const { shard, values } of rules) {
        const request = { ticket: transaction.tickets[0]!, anchor, rule: values, anchorCall: shard };
        pf.addRule({ ...request, poolTicket: pool.current() });
      }
      pf.commit(transaction);
    } catch (error) {
      pool.renew();
      pf.rollback(transaction);
      throw error;
    }
  }

  function current(): { readonly count: number; readonly ticket: number } | null {
    try {
      return pf.rules(anchor);
    } catch (error) {
      if (isInvalid(error)) return null;
      throw error;
    }
  }

  function isLoaded(): boolean {
    const found = current();
    if (found === null || found.count !== wanted.length) return false;
    return wanted.every((rule, nr) => isSame(rule, pf.rule(anchor, found.ticket, nr)));
  }

  return {
    isLoaded,
    install() {
      pool.renew();
      if (!isLoaded()) load(wanted);
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
  const { dst } = values;
  return (
    rule.anchorCall === shard &&
    rule.action === PF_PASS &&
    rule.direction === 0 &&
    rule.quick === 0 &&
    rule.ifname === '' &&
    rule.af === values.af &&
    rule.proto === values.proto &&
    rule.dst.port_op === dst!.port_op &&
    rule.dst.port.every((port, index) => port === dst!.port![index])
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
