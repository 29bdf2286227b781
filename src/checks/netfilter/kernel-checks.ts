/** What a Linux kernel has to have and to be set to, from /proc and /sys: proc(5), Documentation/networking/. */
import { caution, type Finding, fault, ok, unknown } from '../finding.ts';
import { checkForwarded, type Family } from '../forwarding.ts';

/** Reads a file of /proc or /sys: its text, or why there is none. */
/** `code`: an errno's symbol. */
export type ReadFile = (
  path: string,
) => { readonly ok: true; readonly text: string } | { readonly ok: false; readonly code: string };

/** The first kernel whose sets count for each element (NFTA_SET_EXPR). */
const FLOOR = [5, 7] as const;
const NET = '/proc/sys/net';
const QUEUES = '/proc/net/netfilter/nfnetlink_queue';
const FORWARD = {
  4: 'sysctl net.ipv4.ip_forward=1, and in /etc/sysctl.d',
  6: 'sysctl net.ipv6.conf.all.forwarding=1, and in /etc/sysctl.d',
} as const;
/** Percent of the table of connections. */
const NEARLY_FULL = 80;
export const NEEDS_ROOT = 'run it as root';

interface KernelCheckOptions {
  /** As uname(2) says. */
  readonly release: string;
  /** Helpers that rules give flows to; null: the rules could not be read. */
  readonly helpers: readonly string[] | null;
  /** SIP is queued on its way to and from this machine only. */
  readonly isLocal: boolean;
}

/** The parts of the system that calls need. */
export function checkKernel(read: ReadFile, { release, helpers, isLocal }: KernelCheckOptions): Finding[] {
  return [
    checkRelease(release),
    checkNfqueue(read, release),
    checkConntrack(read),
    ...checkAccounting(read),
    checkHelper(read, helpers),
    checkForwarding(read, isLocal),
    ...checkReversePath(read),
  ];
}

function checkRelease(release: string): Finding {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const [least, second] = FLOOR;
  return major > least || (major === least && minor >= second)
    ? ok('kernel', `Linux ${release}`)
    : fault(
        'kernel',
        `Linux ${release}: nftables sets cannot count here, and calls would seem silent`,
        `upgrade to Linux ${FLOOR.join('.')} or a later one`,
      );
}

function checkNfqueue(read: ReadFile, release: string): Finding {
  const found = read(QUEUES);
  if (found.ok || found.code === 'EACCES') return ok('nfqueue', 'nfnetlink_queue is there');
  const modules = ['modules.dep', 'modules.builtin'].map((name) => read(`/lib/modules/${release}/${name}`));
  if (modules.some((one) => one.ok && /\/nfnetlink_queue\.ko/.test(one.text))) {
    return ok('nfqueue', 'nfnetlink_queue is a module, which the daemon has loaded when it starts');
  }
  return fault(
    'nfqueue',
    'this kernel has no nfnetlink_queue: nothing can be handed to the daemon',
    'use a kernel with CONFIG_NETFILTER_NETLINK_QUEUE, or load the module: modprobe nfnetlink_queue',
  );
}

function checkConntrack(read: ReadFile): Finding {
  const [count, most] = ['count', 'max'].map((name) =>
    numberIn(read(`${NET}/netfilter/nf_conntrack_${name}`)),
  );
  if (count === undefined || most === undefined || count === null || most === null) {
    return fault(
      'conntrack',
      'nf_conntrack is not loaded: no rule can know established flows, and fragments stay in pieces',
      'load it: modprobe nf_conntrack',
    );
  }
  const percent = Math.floor((100 * count) / Math.max(1, most));
  const text = `conntrack: ${count} of at most ${most} connections`;
  if (percent < NEARLY_FULL) return ok('conntrack', text);
  const advice = 'raise it: sysctl net.netfilter.nf_conntrack_max';
  return count >= most
    ? fault('conntrack', `${text}: new ones are dropped`, advice)
    : caution('conntrack', `${text}: nearly full`, advice);
}

/** Without it packets of the outside party alone keep the pinholes of a call for as long as a call may last. */
function checkAccounting(read: ReadFile): Finding[] {
  const name = 'net.netfilter.nf_conntrack_acct';
  const set = numberIn(read(`${NET}/netfilter/nf_conntrack_acct`));
  if (set === null) return [];
  return [
    set === 1
      ? ok('accounting', 'conntrack counts packets of either direction: who sends media is told')
      : caution(
          'accounting',
          `conntrack does not count packets (${name}): whether an inside host still sends is not told`,
          `the systemd unit and the daemon set it where they may; else sysctl ${name}=1, and in /etc/sysctl.d`,
        ),
  ];
}

function checkHelper(read: ReadFile, helpers: readonly string[] | null): Finding {
  // There whether it is a module or built in.
  const found = read('/sys/module/nf_conntrack_sip/parameters/ports');
  if (!found.ok && found.code === 'ENOENT') {
    return ok('sip-helper', "the kernel's SIP helper is not loaded");
  }
  // Until Linux 6.0 this made helpers take every flow to their port.
  const isAutomatic = numberIn(read(`${NET}/netfilter/nf_conntrack_helper`)) === 1;
  const named = helpers?.includes('sip') ?? false;
  if (isAutomatic || named) {
    return caution(
      'sip-helper',
      "the kernel's SIP helper is at work beside the daemon: it opens ports, and rewrites SIP where there is NAT",
      isAutomatic
        ? 'sysctl net.netfilter.nf_conntrack_helper=0'
        : 'take the rules out that give SIP to it (ct helper, or -j CT --helper sip)',
    );
  }
  return helpers === null
    ? unknown(
        'sip-helper',
        "the kernel's SIP helper is loaded; no rule was read that could set it",
        NEEDS_ROOT,
      )
    : ok('sip-helper', "the kernel's SIP helper is loaded, and no rule gives it anything");
}

/** The families that the machine forwards. */
export function forwardedFamilies(read: ReadFile): Family[] {
  const isOn = (path: string) => (numberIn(read(`${NET}/${path}`)) ?? 0) > 0;
  return [
    ...(isOn('ipv4/ip_forward') ? ([4] as const) : []),
    ...(isOn('ipv6/conf/all/forwarding') ? ([6] as const) : []),
  ];
}

function checkForwarding(read: ReadFile, isLocal: boolean): Finding {
  const families = forwardedFamilies(read);
  if (families.length > 0) return checkForwarded(families, FORWARD);
  return isLocal
    ? ok('forwarding', 'nothing is forwarded: the calls are those of this machine')
    : fault('forwarding', 'nothing is forwarded: no call passes this machine', FORWARD[4]);
}

/** Strict filters that have dropped something. */
function checkReversePath(read: ReadFile): Finding[] {
  const dropped = counterIn(read('/proc/net/netstat'), 'TcpExt', 'IPReversePathFilter');
  if (dropped === null) return [];
  const text = `rp_filter has dropped ${dropped} packets`;
  return [
    dropped === 0
      ? ok('reverse-path', text)
      : caution(
          'reverse-path',
          `${text}: they came in where an answer would not go out`,
          'somebody forges addresses, or an answer has another way than what came: give such hosts a route through the ' +
            'interface they use; loose (2) would let outside hosts forge inside addresses',
        ),
  ];
}

/** A counter of /proc/net/netstat: a line of names and a line of values for each group. */
function counterIn(file: ReturnType<ReadFile>, group: string, name: string): number | null {
  if (!file.ok) return null;
  const [names, values] = file.text
    .split('\n')
    .filter((line) => line.startsWith(`${group}: `))
    .map((line) => line.split(' '));
  const value = values?.[names?.indexOf(name) ?? -1];
  return value === undefined ? null : Number(value);
}

function numberIn(file: ReturnType<ReadFile>): number | null {
  return file.ok && /^\d+\s*$/.test(file.text) ? Number(file.text) : null;
}

interface ListenerOptions {
  readonly queue: number;
  readonly failOpen: boolean;
  /** Whether the daemon runs, as far as is known. */
  readonly isRunning: boolean;
}

/** Who reads the queue, what has come to it, and what it lost (nfnetlink_queue.c, seq_show). For root. */
export function checkListener(read: ReadFile, { queue, failOpen, isRunning }: ListenerOptions): Finding {
  const found = read(QUEUES);
  if (!found.ok && found.code !== 'ENOENT') {
    return unknown('queue-listener', 'who reads the queue is for root to see', NEEDS_ROOT);
  }
  const columns = (found.ok ? found.text.split('\n') : [])
    .filter((line) => line.trim() !== '')
    .map((line) => line.trim().split(/ +/).map(Number))
    .find(([number]) => number === queue);
  if (columns === undefined) {
    const text = `nobody reads queue ${queue}: what is handed to it ${failOpen ? 'passes unread' : 'is dropped'}`;
    return isRunning
      ? fault('queue-listener', text, 'the daemon runs in another network namespace, or has just stopped')
      : caution('queue-listener', text, 'start the daemon');
  }
  const [, , waiting = 0, , , full = 0, refused = 0, came = 0] = columns;
  const text = `queue ${queue} is read, ${came} packets have come, ${waiting} wait`;
  if (full + refused === 0) return ok('queue-listener', `${text}, none was lost`);
  return caution(
    'queue-listener',
    `${text}; ${full} found it full, ${refused} found no room in the socket`,
    'signalling came faster than it was read: look at the load of the machine, or raise linux.queue-length',
  );
}
