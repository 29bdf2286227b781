import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import { loadLibc } from '../../native-bindings/engine.ts';
import { CAP_NET_ADMIN } from '../../native-bindings/linux/constants.ts';
import { effectiveCapabilities } from '../../native-bindings/linux/privileges.ts';
import type { Settings } from '../config/schema.ts';
import type { ExamineOptions } from './examine-options.ts';
import { type CheckName, type Finding, fault, ok, unknown } from './finding.ts';
import { checkInterfaces, insideNetworks } from './interfaces.ts';
import { mappingsOf } from './nat.ts';
import { checkAntispoof } from './netfilter/antispoof.ts';
import { checkFilters } from './netfilter/filter-checks.ts';
import {
  checkKernel,
  checkListener,
  forwardedFamilies,
  NEEDS_ROOT,
  type ReadFile,
} from './netfilter/kernel-checks.ts';
import {
  type Listing,
  ListingError,
  listRules,
  nftQueues,
  type Run,
  runProgram,
} from './netfilter/listing.ts';
import { checkTranslation } from './netfilter/nat-checks.ts';
import { checkQueues } from './netfilter/queue-checks.ts';
import { createRuleset } from './netfilter/ruleset.ts';
import { checkTable } from './netfilter/table-check.ts';
import { checkConntrackd } from './states.ts';

/** linux/capability.h: what the start needs, by the number of the capability. */
const RIGHTS = new Map([
  [6, 'CAP_SETGID'],
  [7, 'CAP_SETUID'],
  [CAP_NET_ADMIN, 'CAP_NET_ADMIN'],
]);

/** What is looked at in the rules. */
const RULE_CHECKS = [
  'queue-rule',
  'queue-bypass',
  'default-drop',
  'accept-established',
  'accept-mark',
  'accept-sip',
  'outbound-media',
] as const satisfies CheckName[];

const NOT_LOOKED_AT = `not looked at are ${[...RULE_CHECKS, 'table'].join(', ')}`;

export interface LinuxSystem {
  readonly read: ReadFile;
  readonly run: Run;
  readonly release: string;
  readonly isRoot: boolean;
  /** Numbers of those in effect. */
  readonly capabilities: readonly number[];
}

/** The kernel and the rules of this machine. Some of it needs root. */
export async function examineLinux(settings: Settings | null, options: ExamineOptions): Promise<Finding[]> {
  const libc = await loadLibc();
  return examineLinuxSystem(settings, options, {
    read: readFile,
    run: runProgram,
    release: release(),
    isRoot: libc.geteuid() === 0,
    capabilities: effectiveCapabilities(libc),
  });
}

/** The same of any system: for tests. */
export function examineLinuxSystem(
  settings: Settings | null,
  options: ExamineOptions,
  system: LinuxSystem,
): Finding[] {
  const { read, release } = system;
  const { isRunning } = options;
  const { listing, finding } = list(system);
  const rules =
    settings === null || listing === null ? null : checkChains(listing, settings, options, system);
  const found = [
    checkRights(system),
    ...checkKernel(read, {
      release,
      helpers: listing && helpersOf(listing),
      isLocal: rules?.isLocal ?? false,
    }),
    finding,
  ];
  if (settings === null) return found;
  const { linux, fail } = settings;
  return [
    ...found,
    ...checkInterfaces(options.ingress),
    ...checkConntrackd(read, system.run, settings),
    ...(rules?.findings ?? []),
    checkListener(read, { queue: linux.queue, failOpen: fail === 'open', isRunning }),
    ...(listing === null ? [] : [checkTable(listing.tables, { ...linux, isRunning })]),
  ];
}

/** Rules for both families are as good as needed where nothing is forwarded yet. */
function checkChains(
  { chains }: Listing,
  settings: Settings,
  { ingress, addresses }: ExamineOptions,
  { read, run }: LinuxSystem,
): { readonly findings: readonly Finding[]; readonly isLocal: boolean } {
  const { linux, sipPorts, mediaPorts, fail, inside, outbound, tcpMedia } = settings;
  const ruleset = createRuleset(chains.filter(({ table }) => table !== `inet ${linux.table}`));
  const forwarded = forwardedOrBoth(read);
  const { queue, mark } = linux;
  const { findings, places } = checkQueues(ruleset, {
    queue,
    sipPorts,
    forwarded,
    failOpen: fail === 'open',
    nftQueues: () => nftQueues(run),
  });
  const isLocal = !places.includes('forward');
  return {
    isLocal,
    findings: [
      ...findings,
      ...checkFilters(ruleset, places, {
        ...{ mark, sipPorts, mediaPorts, inside, outbound, tcpMedia, forwarded },
        routed: insideNetworks(ingress, inside),
      }),
      ...(isLocal ? [] : [checkAntispoof(ruleset, read, { forwarded, ingress, inside, sipPorts })]),
      ...checkTranslation(ruleset, {
        mappings: mappingsOf(settings, addresses),
        sipPorts,
        mediaPorts,
        inside,
      }),
    ],
  };
}

function helpersOf({ chains }: Listing): string[] {
  const verdicts = chains.flatMap(({ rules }) => rules.map(({ verdict }) => verdict));
  return verdicts.flatMap((verdict) => (verdict.type === 'helper' ? [verdict.name] : []));
}

function described({ chains }: Listing): Finding {
  const tables = new Set(chains.map(({ table }) => table));
  return ok('ruleset', `all rules were read: ${chains.length} chains of ${tables.size} tables`);
}

/** The rules, or null, and what is to be said of them. */
function list(system: LinuxSystem): { readonly listing: Listing | null; readonly finding: Finding } {
  if (!system.capabilities.includes(CAP_NET_ADMIN)) {
    const finding = unknown('ruleset', `the rules are for root to see: ${NOT_LOOKED_AT}`, NEEDS_ROOT);
    return { listing: null, finding };
  }
  try {
    const listing = listRules(system.run, system.read);
    return { listing, finding: described(listing) };
  } catch (error) {
    if (!(error instanceof ListingError)) throw error;
    const finding = unknown('ruleset', `the rules cannot be listed: ${NOT_LOOKED_AT}`, error.message);
    return { listing: null, finding };
  }
}

function forwardedOrBoth(read: ReadFile) {
  const families = forwardedFamilies(read);
  return families.length === 0 ? ([4, 6] as const) : families;
}

function checkRights({ isRoot, capabilities }: LinuxSystem): Finding {
  if (!isRoot) {
    return unknown('rights', 'not run as root: what needs it says so below', 'sudo pinholed doctor');
  }
  const missing = [...RIGHTS].filter(([number]) => !capabilities.includes(number)).map(([, name]) => name);
  return missing.length === 0
    ? ok('rights', 'root, with the capabilities that the start needs')
    : fault(
        'rights',
        `root without ${missing.join(', ')}: the daemon cannot start here`,
        'in a container: give them to it (--cap-add NET_ADMIN)',
      );
}

const readFile: ReadFile = (path) => {
  try {
    return { ok: true, text: readFileSync(path, 'latin1') };
  } catch (error) {
    return { ok: false, code: (error as NodeJS.ErrnoException).code ?? 'EIO' };
  }
};
