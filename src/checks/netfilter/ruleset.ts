/** All rules of a Linux machine but the daemon's own, to be asked what becomes of a packet. */
import type { Probe } from '../probe.ts';
import { type Chain, type Hook, outcomesOf, type ProbeOutcome } from './rule.ts';

/** Where packets go: through the machine, to it, from it. */
export type PacketPath = 'forward' | 'input' | 'output';

/** Hooks that a packet passes which goes there. */
export const HOOKS: Readonly<Record<PacketPath, readonly Hook[]>> = {
  forward: ['prerouting', 'forward', 'postrouting'],
  input: ['prerouting', 'input'],
  output: ['output', 'postrouting'],
};

/** In words. */
export const PACKET_PATHS: Readonly<Record<PacketPath, string>> = {
  forward: 'what is forwarded',
  input: 'what comes to this machine',
  output: 'what this machine sends',
};

export interface NetfilterRuleset {
  /** Base chains that filter at a hook, first to last. */
  filters(hook: Hook): readonly Chain[];
  /** What may become of a probe in the chains that filter there. */
  ask(hook: Hook, probe: Probe): ProbeOutcome[];
  /** In one chain. */
  askChain(chain: Chain, probe: Probe): ProbeOutcome[];
  /** What may become of it in the chains that translate there, up to the first that surely does. */
  translate(hook: Hook, probe: Probe): ProbeOutcome[];
}

export function createRuleset(chains: readonly Chain[]): NetfilterRuleset {
  const at = (hook: Hook, translates: boolean) =>
    chains
      .filter(({ base }) => base?.hook === hook && base.translates === translates)
      .sort((a, b) => a.base!.priority - b.base!.priority);
  const askChain = (chain: Chain, probe: Probe) => outcomesOf(chain, chains, probe);
  return {
    filters: (hook) => at(hook, false),
    ask: (hook, probe) => at(hook, false).flatMap((chain) => askChain(chain, probe)),
    askChain,
    translate(hook, probe) {
      const all = at(hook, true).flatMap((chain) => askChain(chain, probe));
      const translations = all.filter(({ verdict }) => verdict.type === 'dnat' || verdict.type === 'snat');
      const last = translations.findIndex(({ sure }) => sure);
      return last < 0 ? translations : translations.slice(0, last + 1);
    },
  };
}

export function nameOf({ name, table }: Chain): string {
  return `chain ${name} of ${table}`;
}
