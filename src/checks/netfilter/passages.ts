/** What packets meet in a base chain, jumps followed. */
import { anything, both, type Chain, type Conditions, isUnconditional, type Rule } from './rule.ts';

/** Jumps within jumps (the kernel's own limit, NFT_JUMP_STACK_SIZE), and rules of one chain in all. */
const DEPTH = 16;
const MOST_RULES = 100_000;

/**
 * The rules that packets meet in this base chain, in order, up to the first that ends the way of every packet.
 * Rules of chains that are jumped to have the conditions of the jump as well.
 */
export function passagesOf(chain: Chain, chains: readonly Chain[]): Rule[] {
  const found: Rule[] = [];
  const named = new Map(chains.filter(({ table }) => table === chain.table).map((one) => [one.name, one]));

  /** Whether no packet that came in goes on behind it. */
  function visit({ rules }: Chain, above: Conditions, depth: number): boolean {
    for (const rule of rules) {
      const conditions = both(above, rule);
      if (conditions === null || found.length >= MOST_RULES) continue;
      const { verdict } = rule;
      const all = isUnconditional(rule, above.families);
      if (verdict.type === 'jump' || verdict.type === 'goto') {
        const target = named.get(verdict.chain);
        const ended = target !== undefined && depth < DEPTH && visit(target, conditions, depth + 1);
        if (all && ended) return true;
        if (all && verdict.type === 'goto') return false;
        continue;
      }
      found.push({ ...conditions, verdict });
      if (!all) continue;
      if (verdict.type === 'accept' || verdict.type === 'drop') return true;
      if (verdict.type === 'return') return false;
    }
    return false;
  }

  visit(chain, anything(chain.families), 0);
  return found;
}

/** Whether packets that no rule of the chain accepts are dropped in it: by its policy, or by a last rule. */
export function dropsByDefault({ base, families }: Chain, passages: readonly Rule[]): boolean {
  return (
    base?.policy === 'drop' ||
    passages.some((rule) => rule.verdict.type === 'drop' && isUnconditional(rule, families))
  );
}
