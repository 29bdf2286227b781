import { existsSync, readFileSync } from 'node:fs';
import { familyOf } from '../address/address.ts';
import type { Run } from '../checks/netfilter/listing.ts';
import { visible } from '../config/problem.ts';
import { readInterfaceAddresses } from '../daemon/interface-addresses.ts';
import { SelftestError } from './error.ts';
import { changedLine, faultyLine, type ListedTable, missingOf, tablesIn } from './listing.ts';
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
    const description = copyRules(run, (...command) => within('firewall', ...command), ownTable);
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

const IPTABLES = [
  { names: '/proc/net/ip_tables_names', program: 'iptables', family: 'ip' },
  { names: '/proc/net/ip6_tables_names', program: 'ip6tables', family: 'ip6' },
] as const;

/** Loads what this machine has: nftables, and both kinds of iptables. Throws SelftestError where some of it does not arrive. */
function copyRules(
  run: Run,
  inFirewall: (...command: string[]) => readonly string[],
  ownTable: string,
): string {
  const tables = listed(run, (...command) => command).filter(({ name }) => name !== `inet ${ownTable}`);
  const bridged = tables.filter(({ name, isForeign }) => isForeign && /^(?:arp|bridge) /.test(name));
  const natives = tables.filter(({ isForeign }) => !isForeign);
  const kept: string[] = [];
  for (const { names, program, family } of IPTABLES) {
    const foreign = tables.filter(({ name, isForeign }) => isForeign && name.startsWith(`${family} `));
    if (foreign.length > 0) {
      const copied = restored(run, inFirewall, `${program}-nft`, program);
      if (copied === null) natives.push(...foreign);
      else kept.push(...copied);
    }
    if (existsSync(names) && readFileSync(names, 'utf8').trim() !== '') {
      const copied = restored(run, inFirewall, `${program}-legacy`, program);
      if (copied === null) throw new SelftestError(`the ruleset cannot be copied: install ${program}`);
      kept.push(...copied);
    }
  }
  for (const { name, text } of natives) {
    load(run, inFirewall('nft', '-f', '-'), text, `nft, of what it lists as table ${name},`);
  }
  const wanted = tables.filter((one) => !bridged.includes(one));
  const arrived = listed(run, inFirewall);
  const missing = missingOf(wanted, arrived);
  if (missing.length > 0) {
    throw new SelftestError(
      `the ruleset cannot be copied: what is loaded into the copy arrives without ${missing.join(', ')}. Rules of nft have ` +
        'to be in tables of their own, not in those of iptables, and to stay when what loads them has ended',
    );
  }
  const changed = changedLine(wanted, arrived);
  const all = [...natives.map(({ name }) => name), ...kept];
  return [
    all.length === 0 ? 'there are no rules' : all.join(', '),
    ...(changed === null ? [] : [`in ${changed.table} other ones than here, first ${shown(changed.line)}`]),
    ...(bridged.length === 0 ? [] : [`not copied: ${bridged.map(({ name }) => name).join(', ')}`]),
  ].join('; ');
}

const LONGEST_LINE = 200;

function shown(line: string): string {
  return `\`${visible(line.slice(0, LONGEST_LINE))}\``;
}

function listed(run: Run, where: (...command: string[]) => readonly string[]): ListedTable[] {
  const [program = '', ...words] = where('nft', '-s', 'list', 'ruleset');
  const ran = run(program, words);
  if (ran?.status === 0) return tablesIn(ran.stdout, ran.stderr);
  throw new SelftestError(`the ruleset cannot be listed: ${whyOf(ran, 'nft')}`);
}

/** The tables that were copied; null where there is no such program. */
function restored(
  run: Run,
  inFirewall: (...command: string[]) => readonly string[],
  program: string,
  fallback: string,
): string[] | null {
  for (const name of [program, fallback]) {
    const saved = run(`${name}-save`, []);
    if (saved === null || (saved.status !== 0 && name !== fallback)) continue;
    if (saved.status !== 0) throw new SelftestError(`${name}-save: ${whyOf(saved, name)}`);
    load(run, inFirewall(`${name}-restore`), saved.stdout, `${name}-restore, of what ${name}-save wrote,`);
    return [...saved.stdout.matchAll(/^\*(\S+)/gm)].map(([, table]) => `${name} ${table}`);
  }
  return null;
}

/** `what`: who is to load it, and what it is. */
function load(run: Run, command: readonly string[], rules: string, what: string): void {
  const [program = '', ...words] = command;
  const ran = run(program, words, rules);
  if (ran?.status === 0) return;
  const faulty = faultyLine(ran?.stderr ?? '', rules);
  if (faulty === null) throw new SelftestError(`the ruleset cannot be copied: ${whyOf(ran, program)}`);
  const { line, reason } = faulty;
  throw new SelftestError(
    `the ruleset cannot be copied: ${what} does not take the line ${shown(line)} (${reason}): ${adviceFor(reason)}`,
  );
}

/** What to do about a line that is not taken. */
function adviceFor(reason: string): string {
  if (reason.includes('xtables')) return 'it is of iptables-nft: install iptables, whose programs copy it';
  if (reason.includes('Interface does not exist')) {
    return 'the copy has no interfaces but those with an address: write iifname and oifname, which need none';
  }
  return 'put that line in other words, or take another version of the program';
}
