/** SIP programs that nobody here wrote, on the hosts of the topology, and what tcpdump saw there. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Daemon } from '../../lab/daemon.ts';
import { type Datagram, readDatagrams } from '../../lab/demo/capture.ts';
import { compareWay, type Way } from '../../lab/demo/result.ts';
import { eventually } from '../../lab/kernel.ts';
import type { HostName, Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';

/** Debian's package of each program. */
const PACKAGES = {
  sipp: 'sip-tester',
  tcpdump: 'tcpdump',
  baresip: 'baresip-core',
  kamailio: 'kamailio',
  openssl: 'openssl',
  sngrep: 'sngrep',
  rtpengine: 'rtpengine-daemon',
} as const;

/** False, or the reason to skip what needs these. */
export function without(...programs: readonly (keyof typeof PACKAGES)[]): string | false {
  if (withoutRoot !== false) return withoutRoot;
  const missing = programs.find((program) => spawnSync('which', [program]).status !== 0);
  return missing === undefined ? false : `needs ${missing} (Debian's ${PACKAGES[missing]})`;
}

/** Debian's package of each module of kamailio that is not in its own. */
const MODULES = { tls: 'kamailio-tls-modules', websocket: 'kamailio-websocket-modules' } as const;

/** As `without`, for modules of kamailio. */
export function withoutModules(...modules: readonly (keyof typeof MODULES)[]): string | false {
  const missing = modules.find(
    (name) => spawnSync('sh', ['-c', `ls /usr/lib/*/kamailio/modules/${name}.so`]).status !== 0,
  );
  return missing === undefined ? false : `needs kamailio's ${missing} (Debian's ${MODULES[missing]})`;
}

let root: string | null = null;

/** A new directory; it goes with the process. */
export function temporaryDirectory(): string {
  if (root === null) {
    const made = mkdtempSync(join(tmpdir(), 'pinholed-programs-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    root = made;
  }
  return mkdtempSync(join(root, 'd-'));
}

/** A program that runs, and what it said. */
export interface Program {
  readonly lines: readonly string[];
  /** Resolves with the next line from `from` on that matches. Rejects when the program ends, or after 20 s. */
  said(pattern: RegExp, from?: number): Promise<string>;
  type(text: string): void;
  /** Resolves with its exit status. */
  readonly ended: Promise<number | null>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const PATIENCE = 20_000;

export function watch(child: ChildProcess): Program {
  const lines: string[] = [];
  let listeners: (() => void)[] = [];
  const wake = () => {
    const waiting = listeners;
    listeners = [];
    for (const listener of waiting) listener();
  };
  let over = false;
  for (const stream of [child.stdout!, child.stderr!]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (process.env['PINHOLED_TEST_VERBOSE'] !== undefined) console.error(line);
      wake();
    });
  }
  const ended = new Promise<number | null>((resolve) => {
    child.once('exit', (status) => {
      over = true;
      wake();
      resolve(status);
    });
  });
  return {
    lines,
    ended,
    async said(pattern, from = 0) {
      const until = performance.now() + PATIENCE;
      for (;;) {
        const line = lines.slice(from).find((one) => pattern.test(one));
        if (line !== undefined) return line;
        if (over || performance.now() > until) {
          throw new Error(`${over ? 'ended' : 'waited'} without ${pattern}:\n${lines.slice(-40).join('\n')}`);
        }
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, until - performance.now() + 1);
          listeners.push(() => {
            clearTimeout(timer);
            resolve();
          });
        });
      }
    },
    type: (text) => child.stdin!.write(text),
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await ended;
    },
  };
}

/**
 * The daemon's own `timers.drain`, which the lab sets to nothing: baresip sends RTCP's BYE a few ms after it has the 200
 * of SIP's (RFC 3550 6.3.7), and that has to arrive, too.
 */
export const DRAINING = 'timers: { mux-grace: 0 }';

export interface Capture {
  /** What there is so far. */
  read(): Datagram[];
  /** Ends it and gives the UDP datagrams over IPv4, in order. Throws when tcpdump lost any. */
  stop(): Promise<Datagram[]>;
}

/** Captures on a host's device; resolves once nothing is missed any more. */
export async function startCapture(topology: Topology, host: HostName): Promise<Capture> {
  const file = join(temporaryDirectory(), `${host}.pcap`);
  const tcpdump = watch(
    topology.spawn(
      ...([host, 'tcpdump', '-i', 'eth0', '-nU', '-Z', 'root', '-B', '16384', '--immediate-mode'] as const),
      ...['-w', file, 'udp'],
    ),
  );
  await tcpdump.said(/listening on/);
  return {
    read: () => readDatagrams(file),
    async stop() {
      await tcpdump.stop('SIGINT');
      const lost = tcpdump.lines.find((line) => /^[1-9][0-9]* packets? dropped/.test(line));
      if (lost !== undefined) throw new Error(`tcpdump on ${host}: ${lost}`);
      return readDatagrams(file);
    },
  };
}

/** What went between one host and others, by the captures at both ends. */
export interface Exchange {
  readonly out: Way;
  readonly back: Way;
}

/** Compares what `address` sent and got with what another host, by any of its addresses, got and sent. */
export function exchange(
  address: string,
  atHost: readonly Datagram[],
  atOther: readonly Datagram[],
): Exchange {
  const from = ({ source }: Datagram) => source === address;
  const to = ({ destination }: Datagram) => destination === address;
  return {
    out: compareWay(atHost.filter(from), atOther.filter(from)),
    back: compareWay(atOther.filter(to), atHost.filter(to)),
  };
}

/** Waits until `packets` more of media have arrived in each direction of each exchange. */
export async function talk(exchanges: () => readonly Exchange[], packets: number): Promise<void> {
  const counts = () => exchanges().flatMap(({ out, back }) => [out.media.received, back.media.received]);
  const before = counts();
  await eventually(counts, (now) => now.every((count, way) => count >= before[way]! + packets));
}

/** Nothing was lost on the way, the first media packets least of all, and no byte of SIP was changed. */
export function assertWhole({ out, back }: Exchange, streams: number): void {
  for (const { sip, media, streams: seen } of [out, back]) {
    assert.equal(sip.modified, 0);
    assert.equal(sip.received, sip.sent);
    assert.equal(seen.firstLost, 0);
    assert.equal(media.received, media.sent);
    assert.ok(seen.all >= streams, `${seen.all} media streams`);
  }
}

/** What the daemon opened since line `from` of its log, as it says it: `audio udp 10.0.1.10:4000-4001 from 10.0.2.10`. */
export function openedIn({ lines }: Daemon, from = 0): string[] {
  return lines.slice(from).flatMap((line) => line.split(/: opened /)[1]?.split('; ') ?? []);
}
