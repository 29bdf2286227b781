/**
 * Runs in the machine under test, by Bun: how long it takes until bpf(4) has handed over a packet, and what it takes to
 * add one rule to an anchor. `probe.ts INTERFACE PACKETS RULES`, while SIP passes the interface all the time; prints JSON.
 */
import { spawnSync } from 'node:child_process';
import { type Libc, loadLibc } from '../../native-bindings/engine.ts';
import { type BpfOptions, openBpf } from '../../native-bindings/freebsd/bpf.ts';
import {
  AF_INET,
  IPPROTO_UDP,
  PF_CHANGE_ADD_TAIL,
  PF_OP_RRG,
  PF_RULESET_FILTER,
  PF_STATE_NORMAL,
  POLLIN,
} from '../../native-bindings/freebsd/constants.ts';
import { openPf } from '../../native-bindings/freebsd/pf.ts';
import { pollfd } from '../../native-bindings/poll.ts';
import { sipFilter } from '../../src/intercept/passive/filter.ts';

/** In ms. */
export interface Times {
  readonly median: number;
  readonly p99: number;
  readonly longest: number;
}

export interface Probed {
  /** By what was asked of bpf. */
  readonly delivery: Readonly<Record<string, Times>>;
  readonly ioctl: Times;
  readonly pfctl: Times;
  /** A process that does nothing. */
  readonly process: Times;
}

const CLOCK_REALTIME = 0;
const ETHERNET_HEADER = 14;
const ANCHOR = 'pinholed_test';
/** Of each kind before any is counted. */
const WARM = 20;

const [interface_ = '', packets = '100', rules = '100'] = process.argv.slice(2);
const libc = await loadLibc();
const timespec = Buffer.alloc(16);

/** µs since the epoch, by the clock of bpf's time stamps. */
function now({ clock_gettime }: Libc): number {
  clock_gettime(CLOCK_REALTIME, timespec);
  return Number(timespec.readBigInt64LE(0)) * 1e6 + Number(timespec.readBigInt64LE(8)) / 1000;
}

function timesOf(values: readonly number[]): Times {
  const sorted = values.slice(WARM).sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
  return { median: at(0.5), p99: at(0.99), longest: at(1) };
}

/** From the time stamp of a packet to the moment in which it is in the reader's hands. */
function deliver(delivery: BpfOptions['delivery']): Times {
  const device = openBpf(libc, {
    ...{ interface: interface_, direction: 'in', bufferSize: 256 * 1024, delivery },
    program: () => sipFilter([[5060, 5060]], ETHERNET_HEADER),
  });
  const ready = pollfd.encode({ fd: device.fd, events: POLLIN });
  const took: number[] = [];
  while (took.length < WARM + Number(packets)) {
    if (libc.poll(ready, 1, 10_000) === 0) throw new Error('no packet passes');
    device.read((_, time) => took.push((now(libc) - time) / 1000));
  }
  device.close();
  return timesOf(took);
}

function measure(act: (round: number) => void): Times {
  const took = Array.from({ length: WARM + Number(rules) }, (_, round) => {
    const start = performance.now();
    act(round);
    return performance.now() - start;
  });
  return timesOf(took);
}

/** One rule more in an anchor with one, as the daemon adds it; its removal is not counted. */
function byIoctl(): Times {
  const pf = openPf(libc);
  const host = (last: number) => ({
    addr: { 'v.a.addr': Uint8Array.of(192, 0, 2, last), 'v.a.mask': new Uint8Array(4).fill(255) },
  });
  const rule = (port: number) => ({
    ...{ src: host(10), dst: { ...host(20), port: [port, port + 1], port_op: PF_OP_RRG } },
    ...{ label: `pinholed:${port}`, rtableid: -1, quick: 1, keep_state: PF_STATE_NORMAL },
    ...{ af: AF_INET, proto: IPPROTO_UDP },
  });
  const load = (ports: readonly number[]) => {
    const transaction = pf.begin([{ ruleset: PF_RULESET_FILTER, anchor: ANCHOR }]);
    for (const port of ports) {
      const poolTicket = pf.beginAddrs();
      pf.addRule({ ticket: transaction.tickets[0]!, poolTicket, anchor: ANCHOR, rule: rule(port) });
    }
    pf.commit(transaction);
  };
  load([10_000]);
  const took: number[] = [];
  for (let round = 0; round < WARM + Number(rules); round++) {
    const start = performance.now();
    const poolTicket = pf.beginAddrs();
    const ticket = pf.changeTicket(ANCHOR);
    pf.insertRule(PF_CHANGE_ADD_TAIL, { ticket, poolTicket, anchor: ANCHOR, rule: rule(20_000) });
    took.push(performance.now() - start);
    load([10_000]);
  }
  load([]);
  pf.close();
  return timesOf(took);
}

const line = (port: number) =>
  `pass quick inet proto udp from 192.0.2.10 to 192.0.2.20 port ${port}:${port + 1} label "pinholed:${port}"\n`;

function byPfctl(): Times {
  const load = (input: string) => {
    const { status, stderr } = spawnSync('pfctl', ['-q', '-a', ANCHOR, '-f', '-'], { input });
    if (status !== 0) throw new Error(String(stderr));
  };
  const times = measure((round) => load(`${line(10_000)}${line(20_000 + 2 * round)}`));
  load('');
  return times;
}

const probed: Probed = {
  delivery: {
    'at once (BIOCIMMEDIATE)': deliver('at once'),
    'after 10 ms (BIOCSRTIMEOUT)': deliver(10),
    'after 100 ms': deliver(100),
  },
  ioctl: byIoctl(),
  pfctl: byPfctl(),
  process: measure(() => spawnSync('/usr/bin/true')),
};
console.log(JSON.stringify(probed));
