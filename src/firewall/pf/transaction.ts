/**
 * Rules into pf, of any ruleset: filter, nat, rdr, binat. What must be carried along with each, the ticket of the address
 * pool and the rule's own pool addresses, is seen to here, and nowhere else.
 */
import { PF_CHANGE_ADD_TAIL } from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { PfRuleValues, pfPooladdr } from '../../../native-bindings/freebsd/pf-rule.ts';
import type { ValuesOf } from '../../../native-bindings/struct.ts';
import { persist } from '../attempt.ts';
import { OPEN_GATE, type ReloadGate } from './reload-gate.ts';

/** A rule that is to come into a ruleset. */
export interface NewRule {
  readonly values: PfRuleValues;
  /** The anchor this rule calls: a name below its own. */
  readonly anchorCall?: string;
  /** What a nat, rdr, binat or reply-to rule translates or sends to. */
  readonly pool?: { readonly af: number; readonly address: ValuesOf<typeof pfPooladdr> };
}

/** One ruleset of one anchor, as it is to be. */
interface RulesetContents {
  /** PF_RULESET_FILTER and the like. */
  readonly ruleset: number;
  readonly anchor: string;
  readonly rules: readonly NewRule[];
}

/** Gives the ticket of pf's address pool, which every new rule must carry and others take away. */
export interface PoolTicket {
  current(): number;
  renew(): void;
}

export function poolTicket(pf: Pf, gate: ReloadGate = OPEN_GATE): PoolTicket {
  let ticket: number | null = null;
  return {
    current: () => (ticket ??= gate.between(() => pf.beginAddrs())),
    renew() {
      ticket = null;
    },
  };
}

/** Puts the rule's own address into the pool. Returns the ticket that the rule must carry. */
function fillPool(pf: Pf, pool: PoolTicket, { pool: own }: NewRule): number {
  const ticket = pool.current();
  if (own !== undefined) pf.addAddr(ticket, own.af, own.address);
  return ticket;
}

/**
 * Adds a rule at the end of a ruleset that is in use (DIOCCHANGERULE), whose ticket is `ticket`. Throws SystemError, and has
 * then changed nothing.
 */
export function appendRule(
  pf: Pf,
  pool: PoolTicket,
  { ticket, anchor, rule }: { readonly ticket: number; readonly anchor: string; readonly rule: NewRule },
): void {
  persist(() => {
    try {
      const poolTicket = fillPool(pf, pool, rule);
      pf.insertRule(PF_CHANGE_ADD_TAIL, { ticket, poolTicket, anchor, rule: rule.values });
    } catch (error) {
      pool.renew();
      throw error;
    }
  });
}

/**
 * Makes these rulesets anew, all at one moment; their counters begin again. Tries again while other programs get in the
 * way. Throws SystemError, and has then changed nothing.
 */
export function replaceRulesets(pf: Pf, pool: PoolTicket, contents: readonly RulesetContents[]): void {
  if (contents.length === 0) return;
  persist(() => {
    const transaction = pf.begin(contents);
    try {
      for (const [index, { anchor, rules }] of contents.entries()) {
        const ticket = transaction.tickets[index]!;
        for (const rule of rules) {
          const { values, anchorCall } = rule;
          const request = { ticket, poolTicket: fillPool(pf, pool, rule), anchor, rule: values };
          pf.addRule(anchorCall === undefined ? request : { ...request, anchorCall });
        }
      }
      pf.commit(transaction);
    } catch (error) {
      pool.renew();
      pf.rollback(transaction);
      throw error;
    }
  });
}
