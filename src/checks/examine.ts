import type { Address } from '../address/address.ts';
import type { Ingress } from '../address/ingress.ts';
import type { Settings } from '../config/schema.ts';
import type { Finding } from './finding.ts';

/** What is known beside the settings. */
export interface ExamineOptions {
  /** Whether the daemon runs, as far as its control socket tells. */
  readonly isRunning: boolean;
  /** Which interfaces lead where; null where that cannot be known. */
  readonly ingress: Ingress | null;
  /** Addresses that the interfaces have now, by name. */
  readonly addresses: ReadonlyMap<string, readonly Address[]>;
}

/**
 * What a system has and lacks for the daemon, with only the platform's own code loaded: the sections `system` and
 * `firewall`. `settings` null: there are none, and what depends on them is left out. What cannot be looked at is a
 * finding as well; nothing is changed.
 */
export async function examineSystem(
  platform: 'freebsd' | 'linux',
  settings: Settings | null,
  options: ExamineOptions,
): Promise<Finding[]> {
  if (platform === 'linux') return (await import('./examine-linux.ts')).examineLinux(settings, options);
  return (await import('./examine-freebsd.ts')).examineFreebsd(settings, options);
}
