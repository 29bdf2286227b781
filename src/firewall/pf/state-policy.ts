import { PF_PASS, PFRULE_IFBOUND } from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import { persist } from '../attempt.ts';

/**
 * Whether the system's states belong to an interface. `set state-policy if-bound` is nothing that the kernel knows: pfctl(8)
 * marks each rule that it loads. The first rule of the main ruleset that passes and keeps state tells.
 */
interface StatePolicy {
  isIfBound(): boolean;
  /** Looks whether there is another ruleset, and reads that. One ioctl where it is the same. */
  read(): void;
}

export function createStatePolicy(pf: Pf): StatePolicy {
  let bound = false;
  let known: number | null = null;

  function read(): void {
    persist(() => {
      const { count, ticket } = pf.rules('');
      if (ticket === known) return;
      bound = false;
      for (let nr = 0; nr < count; nr++) {
        const { action, keep_state, rule_flag, anchorCall } = pf.rule('', ticket, nr);
        if (action !== PF_PASS || keep_state === 0 || anchorCall !== '') continue;
        bound = (rule_flag & PFRULE_IFBOUND) !== 0;
        break;
      }
      known = ticket;
    });
  }

  return { isIfBound: () => bound, read };
}
