import { existsSync, readFileSync } from 'node:fs';
import { familyOf } from '../address/address.ts';
import type { Run } from '../checks/netfilter/listing.ts';
import { readInterfaceAddresses } from '../daemon/interface-addresses.ts';
import { SelftestError } from './error.ts';
import { type Copy, DEVICE, endOf, LET_OUT, type Machine, nameOf, WHERE, type Where } from './machine.ts';
import type { Interface, Plan } from './plan.ts';
import { must, whyOf } from './programs.ts';

/** A machine of Linux, copied into network namespaces, by ip(8), nft(8) and sysctl(8). */
export function linuxMachine(run: Run): Machine {
  return {
    interfaces: () => readInterfaces(run),
    routeTo: (address) => routeTo(run, address),
    copy: (plan, interfaces, { linux }) => createCopy(run, plan, interfaces, linux.table),
    advice: {
      sip: 'let SIP pass in each chain that drops: `pinholed rules` has the lines',
      media: 'accept its mark in each chain that drops: `pinholed rules` has the line',
      answers: 'put `ct state established accept` before what drops, in each chain that does',
      out: LET_OUT,
    },
  };
}

interface ListedInterface {
  readonly ifname: string;
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[];
}

function readInterfaces(run: Run): Interface[] {
  const known = readInterfaceAddresses();
  const listed = JSON.parse(output(run, ['-j', 'address', 'show'])) as ListedInterface[];
  return listed.flatMap(({ ifname, addr_info: infos = [] }) => {
    const addresses = infos.flatMap(({ local, prefixlen }) =>
      local !== undefined && prefixlen !== undefined && known.get(ifname)?.includes(local) === true
        ? [{ address: local, prefix: prefixlen }]
        : [],
    );
    return ifname === 'lo' || addresses.length === 0 ? [] : [{ name: ifname, addresses }];
  });
}

function routeTo(run: Run, address: string): string | null {
  const ran = run('ip', ['-j', 'route', 'get', address]);
  if (ran?.status !== 0) return null;
  const [route] = JSON.parse(ran.stdout) as { readonly dev?: string; readonly type?: string }[];
  return route?.type === 'local' ? 'lo' : (route?.dev ?? null);
}

function output(run: Run, args: readonly string[]): string {
  const ran = run('ip', args);
  if (ran === null) throw new SelftestError('ip is not installed: install iproute2');
  if (ran.status === 0) return ran.stdout;
  throw new SelftestError(`ip ${args.join(' ')}: ${ran.stderr.trim()}`);
}

/** `ownTable` is the daemon's in nftables (family inet). */
function createCopy(run: Run, plan: Plan, interfaces: readonly Interface[], ownTable: string): Copy {
  const within = (where: Where, ...command: readonly string[]) => [
    'ip',
    'netns',
    'exec',
    nameOf(where),
    ...command,
  ];
  const remove = () => {
    for (const where of WHERE) run('ip', ['netns', 'delete', nameOf(where)]);
  };
  const ip = (...words: readonly string[]) => must(run, 'ip', words);
  const at = (where: Where, ...words: readonly string[]) => ip('-n', nameOf(where), ...words);

  try {
    for (const where of WHERE) {
      ip('netns', 'add', nameOf(where));
      at(where, 'link', 'set', 'lo', 'up');
    }
    for (const [index, one] of interfaces.entries()) {
      const { where, isUsed } = endOf(one, plan);
      const far = isUsed ? DEVICE : `pinholed-${index}`;
      const peer = ['type', 'veth', 'peer', 'name', far, 'netns', nameOf(where)];
      ip('link', 'add', 'name', one.name, 'netns', nameOf('firewall'), ...peer);
      at(where, 'link', 'set', far, 'up');
      at('firewall', 'link', 'set', one.name, 'up');
      for (const { address, prefix } of one.addresses) {
        at('firewall', 'address', 'add', `${address}/${prefix}`, 'dev', one.name, ...nodad(address));
      }
    }
    const width = plan.family === 4 ? 32 : 128;
    const own = (one: Interface) =>
      one.addresses.find(({ address }) => familyOf(address) === plan.family)?.address;
    const hosts = [
      ['inside', [plan.host], own(plan.inside)],
      ['outside', [plan.peer, plan.stranger], own(plan.outside)],
    ] as const;
    for (const [where, addresses, gateway] of hosts) {
      for (const address of addresses) {
        at(where, 'address', 'add', `${address}/${width}`, 'dev', DEVICE, ...nodad(address));
      }
      if (gateway === undefined) at(where, `-${plan.family}`, 'route', 'add', 'default', 'dev', DEVICE);
      else {
        at(where, 'route', 'add', `${gateway}/${width}`, 'dev', DEVICE);
        at(where, 'route', 'add', 'default', 'via', gateway, 'dev', DEVICE);
      }
    }
    at('firewall', 'route', 'replace', `${plan.host}/${width}`, 'dev', plan.inside.name);
    at('firewall', `-${plan.family}`, 'route', 'replace', 'default', 'dev', plan.outside.name);
    for (const [key, value] of switches(interfaces)) {
      run('ip', within('firewall', 'sysctl', '-qw', `${key}=${value}`).slice(1));
    }
    const description = copyRules(run, (...command) => within('firewall', ...command).slice(1), ownTable);
    return { description, within, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

function nodad(address: string): string[] {
  return familyOf(address) === 6 ? ['nodad'] : [];
}

/** What decides whether packets are forwarded at all, as it is here. */
function switches(interfaces: readonly Interface[]): [key: string, value: string][] {
  const keys = [
    'net/ipv4/ip_forward',
    'net/ipv6/conf/all/forwarding',
    ...['all', 'default', ...interfaces.map(({ name }) => name)].map(
      (name) => `net/ipv4/conf/${name}/rp_filter`,
    ),
  ];
  return keys.flatMap((key) => {
    const path = `/proc/sys/${key}`;
    return existsSync(path) ? [[key, readFileSync(path, 'utf8').trim()] as [string, string]] : [];
  });
}

const LEGACY = [
  ['/proc/net/ip_tables_names', 'iptables'],
  ['/proc/net/ip6_tables_names', 'ip6tables'],
] as const;

/** Loads what this machine has: nftables, and both kinds of iptables. */
function copyRules(
  run: Run,
  inFirewall: (...command: string[]) => readonly string[],
  ownTable: string,
): string {
  const listed = must(run, 'nft', ['-s', 'list', 'ruleset']);
  const tables = tablesIn(listed).filter(({ name }) => name !== `inet ${ownTable}`);
  const native = tables.filter(({ isForeign }) => !isForeign);
  load(run, inFirewall('nft', '-f', '-'), native.map(({ text }) => text).join(''));
  const kept: string[] = native.map(({ name }) => name);
  for (const [names, program] of LEGACY) {
    if (existsSync(names) && readFileSync(names, 'utf8').trim() !== '') {
      kept.push(...restored(run, inFirewall, `${program}-legacy`, program));
    }
    const family = program === 'iptables' ? 'ip ' : 'ip6 ';
    if (tables.some(({ name, isForeign }) => isForeign && name.startsWith(family))) {
      kept.push(...restored(run, inFirewall, `${program}-nft`, program));
    }
  }
  return kept.length === 0 ? 'there are no rules' : kept.join(', ');
}

function restored(
  run: Run,
  inFirewall: (...command: string[]) => readonly string[],
  program: string,
  fallback: string,
): string[] {
  const own = run(`${program}-save`, []);
  const name = own === null ? fallback : program;
  const rules = own?.status === 0 ? own.stdout : must(run, `${fallback}-save`, []);
  load(run, inFirewall(`${name}-restore`), rules);
  return [...rules.matchAll(/^\*(\S+)/gm)].map(([, table]) => `${name} ${table}`);
}

/** A table of nftables as nft(8) lists it. */
interface ListedTable {
  /** `inet filter` */
  readonly name: string;
  readonly text: string;
  /** It is of iptables-nft(8), whose matches nft(8) does not know. */
  readonly isForeign: boolean;
}

/** The tables of a listing, each from its `table` to the brace that ends it. */
export function tablesIn(listing: string): ListedTable[] {
  const found: ListedTable[] = [];
  let lines: string[] = [];
  let name = '';
  let isManaged = false;
  for (const line of listing.split('\n')) {
    if (line.startsWith('# Warning: table ')) isManaged = true;
    if (line.startsWith('table ') && line.endsWith(' {')) {
      name = line.slice('table '.length, -' {'.length);
      lines = [];
    }
    if (name === '') continue;
    lines.push(line);
    if (line !== '}') continue;
    const text = `${lines.join('\n')}\n`;
    found.push({ name, text, isForeign: isManaged || / xt (target|match) "/.test(text) });
    name = '';
    isManaged = false;
  }
  return found;
}

function load(run: Run, command: readonly string[], rules: string): void {
  const ran = run('ip', command, rules);
  if (ran !== null && ran.status === 0) return;
  throw new SelftestError(`the ruleset cannot be copied: ${whyOf(ran, command.at(-1)!)}`);
}
