/** Whether states of the packet filter are at the other firewalls of a group too: pfsync(4), conntrackd(8). */
import type { Settings } from '../config/schema.ts';
import { caution, type Finding, ok, unknown } from './finding.ts';
import type { ReadFile } from './netfilter/kernel-checks.ts';
import type { Run } from './netfilter/listing.ts';

const LOOSE = 'nf_conntrack_tcp_loose';
const LIBERAL = 'nf_conntrack_tcp_be_liberal';

/**
 * Linux. Media over UDP needs no state that came over: its next packet begins one by the pinhole. A TCP connection that is
 * under way begins one in the middle where `nf_conntrack_tcp_loose` is not 0; where each firewall sees one direction of it,
 * `nf_conntrack_tcp_be_liberal` keeps its packets from counting as invalid (Documentation/networking/nf_conntrack-sysctl.rst).
 */
export function checkConntrackd(
  read: ReadFile,
  run: Run,
  { peersStore }: Pick<Settings, 'peersStore'>,
): Finding[] {
  if (peersStore.url === null) return [];
  const findings = [statesOver(read, run)];
  if (peersStore.confirm === 'peers' && sysctlOf(read, LIBERAL) === '0') {
    findings.push(
      caution(
        'states',
        `packets of one TCP connection may take different firewalls (peers-store.confirm: peers), and net.netfilter.${LIBERAL} is 0: conntrack counts them as invalid`,
        `sysctl net.netfilter.${LIBERAL}=1, and in /etc/sysctl.d`,
      ),
    );
  }
  return findings;
}

function statesOver(read: ReadFile, run: Run): Finding {
  // Asks the daemon by its socket, as root.
  const asked = run('conntrackd', ['-s']);
  if (asked?.status === 0)
    return ok('states', 'conntrackd runs: states of the packet filter are at the others, too');
  const why = asked === null ? 'conntrackd is not installed' : 'conntrackd does not run, or does not answer';
  if (sysctlOf(read, LOOSE) === '0') {
    return caution(
      'states',
      `${why}, and net.netfilter.${LOOSE} is 0: TCP connections break when another firewall takes over`,
      `sysctl net.netfilter.${LOOSE}=1, and in /etc/sysctl.d; or run conntrackd`,
    );
  }
  return ok(
    'states',
    `${why}: at another firewall media begins a state of its own by its pinhole, TCP in the middle`,
  );
}

function sysctlOf(read: ReadFile, name: string): string | null {
  const found = read(`/proc/sys/net/netfilter/${name}`);
  return found.ok ? found.text.trim() : null;
}

/**
 * FreeBSD. Media over UDP needs no state that came over; TCP does, since a rule makes a state of a SYN alone (pf.conf(5),
 * `flags S/SA`). What ifconfig(8) says of pfsync0: flags, `syncdev`, `defer`, and `syncok` once the states of the others
 * have come.
 */
export function checkPfsync(run: Run, { peersStore }: Pick<Settings, 'peersStore'>): Finding[] {
  if (peersStore.url === null) return [];
  const asked = run('/sbin/ifconfig', ['pfsync0']);
  if (asked === null) return [unknown('states', 'ifconfig is not there: pfsync is not looked at', '')];
  const advice = 'sysrc pfsync_enable=YES pfsync_syncdev=INTERFACE && service pfsync start';
  const effect =
    'TCP connections break when another firewall takes over; media over UDP goes on by its pinhole';
  if (asked.status !== 0) return [caution('states', `there is no pfsync0: ${effect}`, advice)];
  const device = /\bsyncdev: (\S+)/.exec(asked.stdout)?.[1];
  if (device === undefined || !/<[^>]*\bRUNNING\b/.test(asked.stdout)) {
    return [caution('states', `pfsync0 has no syncdev, or is not up: ${effect}`, advice)];
  }
  if (/\bsyncok: 0\b/.test(asked.stdout)) {
    return [
      caution(
        'states',
        `pfsync0 on ${device} has not had the states of the others yet`,
        'look again in a minute',
      ),
    ];
  }
  if (peersStore.confirm === 'peers' && /\bdefer: off\b/.test(asked.stdout)) {
    return [
      caution(
        'states',
        `packets of one connection may take different firewalls (peers-store.confirm: peers), and pfsync0 on ${device} does not wait for the others`,
        'ifconfig pfsync0 defer',
      ),
    ];
  }
  return [ok('states', `pfsync0 on ${device}: states of pf are at the others, too`)];
}
