import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { type Address, addressBytes, familyOf, formatIPv4, formatIPv6 } from '../address/address.ts';
import { networkHas, networkOf } from '../address/network.ts';
import type { Run } from '../checks/netfilter/listing.ts';
import type { Settings } from '../config/schema.ts';
import { readInterfaceAddresses } from '../daemon/interface-addresses.ts';
import { SelftestError } from './error.ts';
import { type Copy, DEVICE, endOf, LET_OUT, type Machine, nameOf, WHERE, type Where } from './machine.ts';
import type { Interface, Plan } from './plan.ts';
import { must, whyOf } from './programs.ts';

/** A machine of FreeBSD, copied into jails with network stacks of their own, by jail(8), ifconfig(8) and pfctl(8). */
export function freebsdMachine(run: Run): Machine {
  return {
    interfaces: readInterfaces,
    routeTo: (address) => routeTo(run, address),
    copy: (plan, interfaces, { freebsd }) => createCopy(run, plan, interfaces, freebsd),
    advice: {
      sip: 'let SIP pass on both interfaces: `pinholed rules` has the lines',
      media: 'put the anchor line that `pinholed rules` prints before what blocks',
      answers: 'see which rule made the state (`pfctl -vvss`): its answers pass, unless it says `no state`',
      out: LET_OUT,
    },
  };
}

function readInterfaces(): Interface[] {
  const known = readInterfaceAddresses();
  return Object.entries(networkInterfaces()).flatMap(([name, infos = []]) => {
    const addresses = infos.flatMap(({ address, cidr, internal }) =>
      !internal && cidr !== null && known.get(name)?.includes(address) === true
        ? [{ address, prefix: Number(cidr.slice(cidr.indexOf('/') + 1)) }]
        : [],
    );
    return addresses.length === 0 ? [] : [{ name, addresses }];
  });
}

function routeTo(run: Run, address: Address): string | null {
  const ran = run('route', ['-n', 'get', familyFlag(address), address]);
  const lines = ran?.status === 0 ? linesOf(ran.stdout) : [];
  const name = lines.find((line) => line.startsWith(INTERFACE))?.slice(INTERFACE.length);
  if (name === undefined) return null;
  return /^lo\d+$/.test(name) ? 'lo' : name;
}

/** What route(8) says before the name. */
const INTERFACE = 'interface: ';

function familyFlag(address: Address): string {
  return familyOf(address) === 4 ? '-inet' : '-inet6';
}

/** Two ends of a wire: `near`, which bears the name of an interface of this machine while it is in the copy, and the other. */
interface Wire {
  readonly near: string;
  readonly far: string;
  readonly name: string;
}

function createCopy(
  run: Run,
  plan: Plan,
  interfaces: readonly Interface[],
  settings: Settings['freebsd'],
): Copy {
  const within = (where: Where, ...command: readonly string[]) => ['jexec', nameOf(where), ...command];
  const at = (where: Where, ...command: readonly string[]) => must(run, 'jexec', [nameOf(where), ...command]);
  const wires: Wire[] = [];

  const remove = () => {
    let isNamedBack = true;
    for (const { near, name } of wires) {
      run('jexec', [nameOf('firewall'), 'ifconfig', name, 'name', near]);
      run('ifconfig', [near, '-vnet', nameOf('firewall')]);
      if (run('ifconfig', [near, 'destroy'])?.status !== 0) isNamedBack = false;
    }
    for (const where of WHERE) {
      // What is left in a jail comes back when that ends: not with the name of an interface of this machine.
      if (where !== 'firewall' || isNamedBack) run('jail', ['-r', nameOf(where)]);
    }
  };

  function lay(one: Interface): void {
    const near = must(run, 'ifconfig', ['epair', 'create']).trim();
    const wire = { near, far: near.replace(/a$/, 'b'), name: one.name };
    wires.push(wire);
    const { where, isUsed } = endOf(one, plan);
    must(run, 'ifconfig', [near, 'vnet', nameOf('firewall')]);
    must(run, 'ifconfig', [wire.far, 'vnet', nameOf(where)]);
    at('firewall', 'ifconfig', near, 'name', one.name);
    if (isUsed) at(where, 'ifconfig', wire.far, 'name', DEVICE);
    at(where, 'ifconfig', isUsed ? DEVICE : wire.far, 'up');
    at('firewall', 'ifconfig', one.name, 'up');
    for (const { address, prefix } of one.addresses) addAddress('firewall', one.name, address, prefix);
  }

  function addAddress(where: Where, device: string, address: Address, prefix: number): void {
    if (familyOf(address) === 4) at(where, 'ifconfig', device, 'inet', `${address}/${prefix}`, 'alias');
    else at(where, 'ifconfig', device, 'inet6', address, 'prefixlen', String(prefix), 'no_dad', 'alias');
  }

  /**
   * Gives a host its addresses. What is not of the interface's own network is behind one that is: an address of the host,
   * else another neighbour. Returns that.
   */
  function settle(where: Where, one: Interface, addresses: readonly Address[]): Address {
    const own = one.addresses.find(({ address }) => familyOf(address) === plan.family);
    const neighbour = own === undefined ? undefined : neighbourOf(own, addresses);
    if (own === undefined || neighbour === undefined) {
      throw new SelftestError(
        `${one.name} has no network with room for a neighbour: a copy cannot be made of it`,
      );
    }
    const subnet = networkOf(addressBytes(own.address), own.prefix);
    const width = plan.family === 4 ? 32 : 128;
    addAddress(where, DEVICE, neighbour, own.prefix);
    for (const address of addresses) {
      if (address === neighbour) continue;
      addAddress(where, DEVICE, address, width);
      if (networkHas(subnet, address)) continue;
      at('firewall', 'route', '-q', 'add', familyFlag(address), '-host', address, neighbour);
    }
    at(where, 'route', '-q', 'add', familyFlag(own.address), 'default', own.address);
    return neighbour;
  }

  try {
    run('kldload', ['-nq', 'if_epair']);
    for (const where of WHERE) {
      must(run, 'jail', ['-c', `name=${nameOf(where)}`, 'vnet', 'persist', 'path=/', 'allow.raw_sockets']);
      at(where, 'ifconfig', 'lo0', 'inet', '127.0.0.1/8', 'up');
    }
    for (const one of interfaces) lay(one);
    settle('inside', plan.inside, [plan.host]);
    const gateway = settle('outside', plan.outside, [plan.peer, plan.stranger]);
    at('firewall', 'route', '-q', 'add', familyFlag(gateway), 'default', gateway);
    for (const key of SWITCHES) {
      const value = run('sysctl', ['-n', key]);
      if (value?.status === 0) at('firewall', 'sysctl', '-q', `${key}=${value.stdout.trim()}`);
    }
    const description = copyRules(run, (...words) => within('firewall', ...words), settings);
    return { description, within, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** What decides whether packets are forwarded at all. */
const SWITCHES = ['net.inet.ip.forwarding', 'net.inet6.ip6.forwarding'] as const;

/** One of `wanted` in the network of this address, else one near it that is neither the first nor the last there. */
function neighbourOf(
  { address, prefix }: { readonly address: Address; readonly prefix: number },
  wanted: readonly Address[],
): Address | undefined {
  const own = addressBytes(address);
  const subnet = networkOf(own, prefix);
  const near = [1, -1, 2, -2].flatMap((step) => {
    const bytes = Uint8Array.from(own);
    bytes[bytes.length - 1] = (bytes[bytes.length - 1]! + step) & 0xff;
    if (isEdge(bytes, prefix)) return [];
    return [bytes.length === 4 ? formatIPv4(bytes, 0) : formatIPv6(bytes, 0)];
  });
  return [...wanted, ...near].find((one) => familyOf(one) === familyOf(address) && networkHas(subnet, one));
}

/** Whether the bits behind the prefix are all 0 or all 1. */
function isEdge(bytes: Uint8Array, prefix: number): boolean {
  const rest = [...bytes]
    .map((byte) => byte.toString(2).padStart(8, '0'))
    .join('')
    .slice(prefix);
  return rest === '' || !rest.includes('0') || !rest.includes('1');
}

/** Where the ruleset is that was loaded: pfSense and OPNsense write it there, else rc.conf(5) says. */
function rulesFile(run: Run): string {
  if (existsSync('/etc/inc/filter.inc') || existsSync('/usr/local/opnsense')) return '/tmp/rules.debug';
  const said = run('sysrc', ['-n', 'pf_rules']);
  return said?.status === 0 && said.stdout.trim() !== '' ? said.stdout.trim() : '/etc/pf.conf';
}

/**
 * Loads the file that this machine's rules come from, and into its tables and anchors what this machine has in them. Says
 * so where other rules are loaded here than those of the file.
 */
function copyRules(
  run: Run,
  inFirewall: (...command: string[]) => readonly string[],
  { anchor, rdrAnchor, binatAnchor }: Settings['freebsd'],
): string {
  const file = rulesFile(run);
  if (!existsSync(file)) throw new SelftestError(`there is no ${file}, from which pf's rules are copied`);
  const copied = (args: readonly string[], input?: string): string => {
    const [program = '', ...words] = inFirewall('pfctl', '-q', ...args);
    const ran = run(program, words, input);
    if (ran?.status === 0) return ran.stdout;
    throw new SelftestError(`the ruleset cannot be copied: pfctl ${args.join(' ')}: ${whyOf(ran, program)}`);
  };
  const own = (args: readonly string[]) => must(run, 'pfctl', ['-q', ...args]);
  copied(['-f', file]);
  copied(['-e']);
  for (const table of linesOf(own(['-sT']))) {
    copied(['-t', table, '-T', 'replace', '-f', '-'], own(['-t', table, '-T', 'show']));
  }
  const daemons = [anchor, rdrAnchor, binatAnchor];
  const isDaemons = (name: string) => daemons.some((one) => name === one || name.startsWith(`${one}/`));
  const anchors = linesOf(own(['-v', '-sA'])).filter((name) => !isDaemons(name) && !/(^|\/)_/.test(name));
  for (const name of anchors) {
    const rules = `${own(['-a', name, '-sn'])}${own(['-a', name, '-sr'])}`;
    if (rules.trim() !== '') copied(['-a', name, '-f', '-'], rules);
  }
  const isSame = ['-sn', '-sr'].every((what) => own([what]) === copied([what]));
  return isSame ? file : `${file}, which is not what is loaded here`;
}

function linesOf(text: string): string[] {
  return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
}
