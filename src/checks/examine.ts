import type { Settings } from '../config/schema.ts';
import type { ExamineOptions } from './examine-options.ts';
import type { Finding } from './finding.ts';

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
