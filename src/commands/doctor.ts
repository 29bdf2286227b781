import { cautions, type Settings } from '../config/load.ts';
import { platformName, StartError } from '../daemon/platform.ts';
import { command } from './command.ts';
import { configOption, configured } from './configured.ts';

/** One thing that was looked at. */
interface Line {
  readonly level: 'ok' | 'caution' | 'fault';
  readonly text: string;
  /** What to do about it; empty when all is well. */
  readonly advice: string;
}

const SPOKEN = new Set(['StartError', 'SystemError', 'FirewallError', 'PlatformError']);

/** `pinholed doctor`: what an installation needs, each with what to do. Exit status 1 when something is missing. */
export const doctor = command(
  (argv) => argv.option('config', configOption),
  async ({ config }) => {
    const found = configured(config);
    if (found === null) return 1;
    try {
      const lines = await examine(found.settings);
      for (const { level, text, advice } of lines) {
        console.log(`${level.padEnd(7)}  ${text}${advice === '' ? '' : `\n         ${advice}`}`);
      }
      return lines.some(({ level }) => level === 'fault') ? 1 : 0;
    } catch (error) {
      if (!(error instanceof Error) || !SPOKEN.has(error.name)) throw error;
      console.error(`pinholed: ${error.message}`);
      return 1;
    }
  },
);

async function examine(settings: Settings): Promise<Line[]> {
  const configuration = cautions(settings).map((text): Line => ({ level: 'caution', text, advice: '' }));
  if (platformName(settings) !== 'freebsd') {
    throw new StartError(
      'doctor: there is nothing to look at on this system yet; "pinholed run" says what it misses',
    );
  }
  const { examineFreebsd } = await import('../daemon/platform-freebsd.ts');
  return [...configuration, ...(await examineFreebsd(settings))];
}
