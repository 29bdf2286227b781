import { networkInterfaces } from 'node:os';
import { networkSet } from '../address/network.ts';
import type { Settings } from '../config/load.ts';
import { platformName, StartError } from '../daemon/platform/platform.ts';
import { command } from './command.ts';
import { configOption, configured } from './configured.ts';
import { nftablesRules } from './rules/nftables.ts';
import { pfRules } from './rules/pf.ts';

const printers = { freebsd: pfRules, linux: nftablesRules } as const;

/** `pinholed rules`: what an administrator's ruleset needs for this configuration, ready to paste. */
export const rules = command(
  (argv) =>
    argv.option('config', configOption).option('platform', {
      choices: Object.keys(printers) as (keyof typeof printers)[],
      requiresArg: true,
      describe: 'For which packet filter: pf or nftables (default: that of this system)',
    }),
  ({ config, platform }) => {
    const found = configured(config);
    if (found === null) return 1;
    const { settings, file } = found;
    try {
      const name = platform ?? platformName(settings);
      process.stdout.write(printers[name](settings, file, insideInterfaces(settings)));
      return 0;
    } catch (error) {
      if (!(error instanceof StartError)) throw error;
      console.error(`pinholed: ${error.message}`);
      return 1;
    }
  },
);

/** Interfaces of this machine that have an address in one of the inside networks. */
function insideInterfaces({ inside }: Pick<Settings, 'inside'>): string[] {
  const isInside = networkSet(inside);
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses.some(({ address, internal }) => !internal && isInside(address.split('%', 1)[0]!)) ? [name] : [],
  );
}
