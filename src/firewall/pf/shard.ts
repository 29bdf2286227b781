/** The pinhole rules of one ruleset of an anchor, as the kernel has them: positions and tickets are followed, never guessed. */
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import { persist } from '../attempt.ts';
import type { RuleList } from './parent.ts';
import { isInvalid } from './refusal.ts';
import type { PinholeRule } from './rule.ts';
import { readPinholeRule } from './ruleset.ts';
import { appendRule, type NewRule, type PoolTicket } from './transaction.ts';

/** A rule in its place. `rule` is null for one that is not a pinhole's. */
export interface Placed {
  readonly key: string;
  readonly rule: PinholeRule | null;
}

export interface Shard {
  /** Path of the anchor: `pinholed/00`. */
  readonly path: string;
  /** PF_RULESET_FILTER and the like. */
  readonly ruleset: number;
  /** The rules in the kernel's order. */
  readonly rules: readonly Placed[];
  has(key: string): boolean;
  /** Whether the kernel has these rules still: one ioctl. */
  intact(): boolean;
  /**
   * Reads the rules from the kernel. Throws SystemError: EINVAL where there is no such anchor, EBUSY where others
   * kept changing it.
   */
  read(): void;
  /** Adds a rule at the end (DIOCCHANGERULE). Throws SystemError and has then changed nothing. */
  add(rule: PinholeRule, encoded: NewRule): void;
  /** Removes a rule by its position (DIOCCHANGERULE). Nothing happens when it is not there. */
  remove(key: string): void;
  /** The kernel's rules are `rules` now, and DIOCGETRULES has the ticket. */
  replaced(rules: readonly Placed[]): void;
}

/**
 * The ticket of an anchor's active rules goes up by one with each change of ours and becomes something else when
 * anybody replaces the rules (pf_ioctl.c, DIOCCHANGERULE and pf_commit_rules). A change that carries the ticket we
 * expect is therefore refused with EINVAL unless the rules are the ones we know: nothing has to be asked first.
 */
export function createShard(pf: Pf, path: string, { ruleset, action }: RuleList, pool: PoolTicket): Shard {
  let rules: Placed[] = [];
  /** Of `rules`, how many have this key: others may have put one there twice. */
  let counts = new Map<string, number>();
  let ticket = -1;

  function know(those: Placed[]): void {
    rules = those;
    counts = new Map();
    for (const { key } of those) count(key, 1);
  }

  function count(key: string, change: 1 | -1): void {
    const number = (counts.get(key) ?? 0) + change;
    if (number === 0) counts.delete(key);
    else counts.set(key, number);
  }

  function read(): void {
    persist(() => {
      const found = pf.rules(path, action);
      know(Array.from({ length: found.count }, (_, nr) => placed(found.ticket, nr)));
      ticket = found.ticket;
    });
  }

  function placed(active: number, nr: number): Placed {
    const rule = readPinholeRule(pf, { path, action, ticket: active, nr });
    return { key: rule?.key ?? `not a pinhole's, at ${nr}`, rule };
  }

  function add(rule: PinholeRule, encoded: NewRule): void {
    appendRule(pf, pool, { ticket, anchor: path, rule: encoded });
    rules.push({ key: rule.key, rule });
    count(rule.key, 1);
    ticket = next(ticket);
  }

  function remove(key: string): void {
    const nr = rules.findLastIndex((one) => one.key === key);
    if (nr < 0) return;
    persist(() => pf.removeRule(path, ticket, nr, action));
    rules.splice(nr, 1);
    count(key, -1);
    ticket = next(ticket);
  }

  return {
    path,
    ruleset,
    get rules() {
      return rules;
    },
    has: (key) => counts.has(key),
    intact() {
      try {
        const found = pf.rules(path, action);
        return found.ticket === ticket && found.count === rules.length;
      } catch (error) {
        if (isInvalid(error)) return false;
        throw error;
      }
    },
    read,
    add,
    remove,
    replaced(those) {
      know([...those]);
      ticket = pf.rules(path, action).ticket;
    },
  };
}

/** A u_int32_t that goes up by one. */
function next(ticket: number): number {
  return (ticket + 1) >>> 0;
}
