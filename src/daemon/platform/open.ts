import type { Settings } from '../../config/schema.ts';
import { type Platform, platformName } from './platform.ts';

/** The platform that the settings ask for, with only its own code loaded. Throws StartError. */
export async function openPlatform(settings: Settings): Promise<Platform> {
  const name = platformName(settings);
  if (name === 'linux') return (await import('./linux.ts')).openLinux();
  return (await import('./freebsd.ts')).openFreebsd();
}
