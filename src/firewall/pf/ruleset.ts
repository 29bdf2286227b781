/** The administrator's ruleset as the kernel holds it. */

import { PF_PASS } from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { PfRuleReadBack } from '../../../native-bindings/freebsd/pf-nv.ts';
import { isInTheWay, persist } from '../attempt.ts';
import { isInvalid } from './refusal.ts';
import { decodeRule, type PinholeRule } from './rule.ts';

/** A rule and the anchor it stands in; the main ruleset's path is empty. */
export interface RuleInPlace {
  readonly path: string;
  readonly rule: PfRuleReadBack;
}

const DEPTH = 8;

/** Rules of one anchor, in order; none where there is no such anchor. `ruleset` is PF_PASS, PF_SCRUB and so on. */
export function readRules(pf: Pf, path: string, ruleset?: number): PfRuleReadBack[] {
  return readEach(pf, path, ruleset, (ticket, nr) => pf.rule(path, ticket, nr, ruleset));
}

/** What `read` makes of each rule of a ruleset, in order; none where there is no such anchor. */
function readEach<T>(
  pf: Pf,
  path: string,
  ruleset: number | undefined,
  read: (ticket: number, nr: number) => T,
): T[] {
  try {
    return persist(() => {
      const { count, ticket } = pf.rules(path, ruleset);
      return Array.from({ length: count }, (_, nr) => read(ticket, nr));
    });
  } catch (error) {
    if (isInvalid(error)) return [];
    throw error;
  }
}

/** A rule of a ruleset, read with the ticket of `Pf.rules`, as a pinhole's; null when it is none. Throws SystemError. */
export function readPinholeRule(
  pf: Pf,
  { path, action, ticket, nr }: { path: string; action: number; ticket: number; nr: number },
): PinholeRule | null {
  const rule = pf.rule(path, ticket, nr, action);
  const pool = action === PF_PASS ? null : pf.poolAddress(path, ticket, nr, action);
  return decodeRule({ rule, pool });
}

/** Every rule of a ruleset as a pinhole's, null for one that is none. No rules where there is no such anchor. */
export function readPinholeRules(pf: Pf, path: string, action: number): (PinholeRule | null)[] {
  return readEach(pf, path, action, (ticket, nr) => readPinholeRule(pf, { path, action, ticket, nr }));
}

/** What `read` returns; nothing where the rules go on changing under the reader. */
export function readWhole<T>(read: () => T[]): T[] {
  try {
    return read();
  } catch (error) {
    if (isInTheWay(error)) return [];
    throw error;
  }
}

/** Every rule of a ruleset (PF_PASS and the like) that a packet can meet, but for those inside the anchor `except`. */
export function reachableRules(pf: Pf, except: string, ruleset?: number): RuleInPlace[] {
  const found: RuleInPlace[] = [];
  const seen = new Set<string>();

  function visit(path: string, depth: number): void {
    if (path === except || path.startsWith(`${except}/`) || seen.has(path) || depth > DEPTH) return;
    seen.add(path);
    for (const rule of readRules(pf, path, ruleset)) {
      found.push({ path, rule });
      for (const called of calledBy(pf, { path, rule })) visit(called, depth + 1);
    }
  }

  visit('', 0);
  return found;
}

/** Paths of the anchors that a rule steps into: none, one, or all that `name/*` stands for now. */
export function calledBy(pf: Pf, { path, rule }: RuleInPlace): string[] {
  const { anchorCall } = rule;
  if (anchorCall === '') return [];
  const target = anchorCall.startsWith('/') ? anchorCall.slice(1) : join(path, anchorCall);
  if (!target.endsWith('*')) return [target];
  const above = target.replace(/\/?\*$/, '');
  try {
    return pf.anchors(above).map((name) => join(above, name));
  } catch {
    return [];
  }
}

/** Whether a packet can get from the main ruleset into this anchor. */
export function isReferenced(anchor: string, rules: readonly RuleInPlace[]): boolean {
  const [above] = anchor.split('/', 1);
  return rules.some(({ path, rule }) => {
    const { anchorCall } = rule;
    const target = anchorCall.startsWith('/') ? anchorCall.slice(1) : join(path, anchorCall);
    return target === anchor || (above !== anchor && target === `${above}/*`);
  });
}

function join(above: string, name: string): string {
  return above === '' ? name : `${above}/${name}`;
}
