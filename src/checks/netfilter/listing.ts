/** The rules of a Linux machine, listed by the programs that know all of nftables and iptables. Needs root. */
import { spawnSync } from 'node:child_process';
import type { Family } from '../forwarding.ts';
import { readIptables } from './iptables.ts';
import type { ReadFile } from './kernel-checks.ts';
import { type NftTable, readNft } from './nft.ts';
import type { Chain } from './rule.ts';

export interface Listing {
  /** Those of iptables-nft(8), which nft(8) shows without its matches, are among `chains` alone. */
  readonly tables: readonly NftTable[];
  /** The chains of all tables. */
  readonly chains: readonly Chain[];
}

/** Why the rules, or a part of them, cannot be listed. */
export class ListingError extends Error {
  override readonly name = 'ListingError';
}

/** Runs a program with this on its standard input; null where it is not installed. */
export type Run = (program: string, args: readonly string[], input?: string) => Ran | null;

export interface Ran {
  /** The exit status; null when it was killed for taking too long. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const WITHIN = 10_000;
const LONGEST = 256 * 1024 * 1024;
const LEGACY_TABLES = { 4: '/proc/net/ip_tables_names', 6: '/proc/net/ip6_tables_names' } as const;
const PROGRAMS = { 4: 'iptables', 6: 'ip6tables' } as const;

/** Runs programs of the system, for at most ten seconds. */
export const runProgram: Run = (program, args, input = '') => {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    input,
    encoding: 'utf8',
    env: { PATH: '/usr/sbin:/sbin:/usr/bin:/bin', LC_ALL: 'C' },
    timeout: WITHIN,
    maxBuffer: LONGEST,
  });
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT' ? null : { status, stdout, stderr };
};

/** All rules there are. Throws ListingError. */
export function listRules(run: Run, read: ReadFile): Listing {
  const nft = output(run, 'nft', ['-j', 'list', 'ruleset']);
  if (nft === null) throw new ListingError('nft is not installed: install nftables');
  let tables = parsed('nft', () => readNft(nft));
  const chains: Chain[] = [];
  for (const family of [4, 6] as const) {
    const program = PROGRAMS[family];
    const compatible = output(run, `${program}-nft-save`, []) ?? output(run, `${program}-save`, []);
    const known = compatible === null ? [] : readIptables(compatible, program, family);
    chains.push(...known);
    tables = tables.flatMap((table) =>
      table.family === familyName(family) ? whatIsLeft(table, `${program} ${table.name}`, known) : [table],
    );
    chains.push(...legacy(run, read, family));
  }
  const opaque = tables.find(({ chains: ones }) =>
    ones.some(({ statements }) => statements.some((rule) => rule.some((one) => 'xt' in one))),
  );
  if (opaque !== undefined) {
    const table = `${opaque.family} ${opaque.name}`;
    throw new ListingError(
      `table ${table} has rules of iptables-nft, whose iptables-nft-save is not installed`,
    );
  }
  return { tables, chains: [...tables.flatMap((table) => table.chains), ...chains] };
}

/** A table without the chains that iptables-save(8) has; what nft put beside them is not there. */
function whatIsLeft(table: NftTable, called: string, known: readonly Chain[]): NftTable[] {
  const names = new Set(known.flatMap((one) => (one.table === called ? [one.name] : [])));
  const chains = table.chains.filter(({ name }) => !names.has(name));
  return names.size > 0 && chains.length === 0 ? [] : [{ ...table, chains }];
}

/** Those of iptables-legacy, where it has any: asking for others would load its modules. */
function legacy(run: Run, read: ReadFile, family: Family): Chain[] {
  const names = read(LEGACY_TABLES[family]);
  if (!names.ok || names.text.trim() === '') return [];
  const program = `${PROGRAMS[family]}-legacy`;
  const text = output(run, `${program}-save`, []) ?? output(run, `${PROGRAMS[family]}-save`, []);
  if (text === null) throw new ListingError(`there are rules of ${program}, and no ${program}-save`);
  return readIptables(text, program, family);
}

/** Whether the kernel takes nft's `queue`: asked of the kernel, which changes nothing (nft --check). */
export function nftQueues(run: Run): boolean {
  const rules = 'table inet pinholed_check { chain c { type filter hook forward priority 0; queue to 0; }; }';
  return run('nft', ['--check', '--file', '-'], rules)?.status === 0;
}

function output(run: Run, program: string, args: readonly string[]): string | null {
  const ran = run(program, args);
  if (ran === null) return null;
  if (ran.status === 0) return ran.stdout;
  const why = ran.status === null ? 'gave no answer in time' : ran.stderr.trim().split('\n', 1)[0];
  throw new ListingError(`${[program, ...args].join(' ')}: ${why}`);
}

function parsed<T>(program: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new ListingError(`what ${program} printed cannot be read: ${(error as Error).message}`);
  }
}

function familyName(family: Family): string {
  return family === 4 ? 'ip' : 'ip6';
}
