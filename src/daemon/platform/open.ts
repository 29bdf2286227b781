import { missingInterfaces } from '../../config/rules.ts';
import type { Settings } from '../../config/schema.ts';
import { observing } from './observing.ts';
import { type DaemonPlatform, platformName, StartError } from './platform.ts';

/** The platform that the settings ask for, with only its own code loaded. Throws StartError. */
export async function openPlatform(settings: Settings): Promise<DaemonPlatform> {
  const name = platformName(settings);
  const missing = missingInterfaces(settings, name);
  if (missing !== null) throw new StartError(missing);
  const platform = await (name === 'linux'
    ? (await import('./linux.ts')).openLinux()
    : (await import('./freebsd.ts')).openFreebsd(settings));
  return settings.mode === 'observe' ? observing(platform) : platform;
}
