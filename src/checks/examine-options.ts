import type { Address } from '../address/address.ts';
import type { Ingress } from '../address/ingress.ts';

/** What is known beside the settings. */
export interface ExamineOptions {
  /** Whether the daemon runs, as far as its control socket tells. */
  readonly isRunning: boolean;
  /** Which interfaces lead where; null where that cannot be known. */
  readonly ingress: Ingress | null;
  /** Addresses that the interfaces have now, by name. */
  readonly addresses: ReadonlyMap<string, readonly Address[]>;
}
