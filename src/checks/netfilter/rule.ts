/** Rules of nft(8) and iptables(8), as far as SIP and media are concerned. */
import type { Network } from '../../address/network.ts';
import type { Family } from '../forwarding.ts';
import { allOf, type Certainty, type Probe, type Test } from '../probe.ts';

/** What ends a packet's way through a chain. */
type ChainEnding =
  | { readonly type: 'accept' | 'drop' }
  | { readonly type: 'queue'; readonly first: number; readonly last: number; readonly bypass: boolean }
  /** To this address; null: one that is not known from the rule, or one of the machine's own. */
  | { readonly type: 'dnat' | 'snat'; readonly to: Network | null; readonly ports: 'kept' | 'changed' };

export type RuleVerdict =
  | ChainEnding
  | { readonly type: 'return' }
  | { readonly type: 'jump'; readonly chain: string }
  | { readonly type: 'goto'; readonly chain: string }
  /** Gives the connection to the kernel's helper of this name. */
  | { readonly type: 'helper'; readonly name: string }
  /** Has no effect on where the packet goes. */
  | { readonly type: 'continue' };

export interface NetfilterRule {
  readonly tests: readonly Test[];
  readonly verdict: RuleVerdict;
}

export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

export interface Chain {
  /** `inet filter`, or `iptables filter`: chains jump within their table. */
  readonly table: string;
  readonly name: string;
  readonly families: readonly Family[];
  /** Null for a chain that is only jumped to. A chain that translates sees the first packet of a flow alone. */
  readonly base: {
    readonly hook: Hook;
    readonly priority: number;
    readonly policy: 'accept' | 'drop';
    readonly translates: boolean;
  } | null;
  readonly rules: readonly NetfilterRule[];
}

/** What may become of a probe in a base chain. */
export interface ProbeOutcome {
  readonly chain: Chain;
  readonly verdict: ChainEnding;
  /** Every packet that the probe stands for comes so far, and it becomes of each of them. */
  readonly sure: boolean;
}

/** Jumps within jumps (the kernel's own limit, NFT_JUMP_STACK_SIZE), and rules looked at for one probe. */
const DEPTH = 16;
const MOST_RULES = 100_000;

/** In the order of the rules, jumps followed; the last of them is sure: that of a rule, or the chain's policy. */
export function outcomesOf(chain: Chain, chains: readonly Chain[], probe: Probe): ProbeOutcome[] {
  if (!chain.families.includes(probe.family)) return [];
  const found: ProbeOutcome[] = [];
  const named = new Map(chains.filter(({ table }) => table === chain.table).map((one) => [one.name, one]));
  let looked = 0;

  /** Whether the probe's way ends there: for all packets, for some, for none. */
  function visit({ rules }: Chain, above: Certainty, depth: number): Certainty {
    let ended: Certainty = 'no';
    for (const { tests, verdict } of rules) {
      if (++looked > MOST_RULES) return 'maybe';
      if (verdict.type === 'continue' || verdict.type === 'helper') continue;
      const met = allOf(tests, probe);
      if (met === 'no') continue;
      if (verdict.type === 'return') {
        if (met === 'yes') return ended;
        continue;
      }
      const sure = met === 'yes' && above === 'yes';
      if (verdict.type !== 'jump' && verdict.type !== 'goto') {
        found.push({ chain, verdict, sure });
        if (met === 'yes') return 'yes';
        ended = 'maybe';
        continue;
      }
      const target = depth < DEPTH ? named.get(verdict.chain) : undefined;
      const end = target === undefined ? 'no' : visit(target, sure ? 'yes' : 'maybe', depth + 1);
      if (met === 'yes' && (end === 'yes' || verdict.type === 'goto')) return end === 'no' ? ended : end;
      if (end !== 'no') ended = 'maybe';
    }
    return ended;
  }

  if (visit(chain, 'yes', 0) !== 'yes') {
    found.push({ chain, verdict: { type: chain.base?.policy ?? 'accept' }, sure: true });
  }
  return found;
}

/** Whether nothing else can become of it. */
export function isDropped(outcomes: readonly ProbeOutcome[]): boolean {
  return outcomes.length > 0 && outcomes.every(({ verdict }) => verdict.type === 'drop');
}

/** Whether those are dropped that no rule accepts under conditions which nobody can answer. */
export function isDroppedAtLast(outcomes: readonly ProbeOutcome[]): boolean {
  return outcomes.find(({ sure }) => sure)?.verdict.type === 'drop';
}

/** Whether a packet with this mark meets `meta mark & MASK == VALUE`. */
export function admits(mask: number, value: number, mark: number): boolean {
  return (mark & mask) >>> 0 === value >>> 0;
}
