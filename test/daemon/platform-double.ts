/**
 * A platform made of files and a loopback socket, for the daemon's own processes: what a test sends to the socket
 * is a packet, what comes back was released. Everything it is asked to do is a line in `log`; the packet filter is
 * a file, so that it outlives the process as the kernel's does.
 */
import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Libc, loadLibc } from '../../native-bindings/engine.ts';
import type { DaemonPlatform } from '../../src/daemon/platform/platform.ts';
import { deviationOf } from '../../src/firewall/deviation.ts';
import {
  type Firewall,
  type FirewallControl,
  FirewallError,
  NOT_COUNTED,
  type Traffic,
} from '../../src/firewall/firewall.ts';
import { type HeldPacket, InterceptError, type Interceptor } from '../../src/intercept/interceptor.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';

const directory = process.env['PINHOLED_TEST_DIRECTORY']!;
const file = (name: string) => join(directory, name);
const note = (text: string) => appendFileSync(file('log'), `${text}\n`);
const POLLIN = 1;
const LONGEST = 65_536;

export async function openPlatform(): Promise<DaemonPlatform> {
  const libc = await loadLibc();
  return {
    name: 'linux',
    dataPathOpener: existsSync(file('opened-as-root')) ? 'root' : 'network-administrator',
    openDataPath: async () => ({
      interceptor: openInterceptor(libc),
      firewall: openFirewall(),
      description: ['made of files'],
    }),
    openControl: async () => ({
      firewall: openFirewall(),
      ingress: null,
      counters: () => ({}),
      close() {},
    }),
    openFailOpen: async () => ({
      install: () => note('fail-open install'),
      remove: () => note('fail-open remove'),
      close: () => {},
    }),
  };
}

function loopback(libc: Libc, port: number): Buffer {
  const address = Buffer.alloc(16);
  address.set(libc.platform.system === 'linux' ? [2, 0] : [16, 2]);
  address.writeUInt16BE(port, 2);
  address.set([127, 0, 0, 1], 4);
  return address;
}

function openInterceptor(libc: Libc): Interceptor {
  const fd = libc.check('socket', libc.socket(2, 2, 0));
  const port = existsSync(file('port')) ? Number(readFileSync(file('port'), 'utf8')) : 0;
  if (libc.bind(fd, loopback(libc, port), 16) < 0) {
    throw new InterceptError(`port ${port} is taken (${libc.failure()})`, libc.failure());
  }
  const name = Buffer.alloc(16);
  const length = Buffer.from(Uint32Array.of(16).buffer);
  libc.check('getsockname', libc.getsockname(fd, name, length));
  writeFileSync(file('port.draft'), String(name.readUInt16BE(2)));
  renameSync(file('port.draft'), file('port'));
  const memory = Buffer.alloc(LONGEST);
  const peer = Buffer.alloc(16);
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(fd);

  return {
    receive(timeout) {
      pollfd.writeInt16LE(POLLIN, 4);
      if (libc.poll(pollfd, 1, timeout) <= 0) return [];
      const size = libc.recvfrom(fd, memory, LONGEST, 0, peer, length);
      if (size < 0) return [];
      const bytes = memory.subarray(0, size);
      if (bytes.toString() === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      if (bytes.toString() === 'gone') throw new InterceptError('the socket is gone', 'EBADF');
      return [{ bytes, handle: 0 }];
    },
    release(packet: HeldPacket) {
      note('release');
      libc.sendto(fd, packet.bytes, packet.bytes.length, 0, peer, 16);
    },
    drop: () => note('drop'),
    counters: () => ({ doubles: 1 }),
    news: () => [],
    close: () => void libc.close(fd),
  };
}

function openFirewall(): Firewall & FirewallControl {
  const read = (): Pinhole[] =>
    existsSync(file('rules')) ? (JSON.parse(readFileSync(file('rules'), 'utf8')) as Pinhole[]) : [];
  const write = (rules: readonly Pinhole[]) => {
    writeFileSync(file('rules.draft'), JSON.stringify(rules));
    renameSync(file('rules.draft'), file('rules'));
  };
  const nameOf = ({ id }: Pinhole) => id;
  const ports = (pinholes: readonly Pinhole[]) => pinholes.map((one) => one.ports[0]).join(' ');
  return {
    commit({ open, close }) {
      if (existsSync(file('refuse'))) throw new FirewallError('refused by the test', 'EIO');
      const closed = new Set(close.map(({ id }) => id));
      write([...read().filter(({ id }) => !closed.has(id)), ...open]);
      note(`commit +[${ports(open)}] -[${ports(close)}]`);
      return NOT_COUNTED;
    },
    retire({ closed = [] }) {
      note(`kill [${ports(closed)}]`);
      return { states: closed.length, counts: NOT_COUNTED };
    },
    list: read,
    intact: () => true,
    compare: (intended) => deviationOf(read().map(nameOf), intended.map(nameOf)),
    traffic: () => ({
      counts: new Map(
        existsSync(file('traffic'))
          ? (JSON.parse(readFileSync(file('traffic'), 'utf8')) as [string, Traffic][]).map(
              ([id, traffic]) => [id, { sent: null, ...traffic }],
            )
          : [],
      ),
      uncounted: [],
    }),
    clear() {
      write([]);
      note('clear');
    },
    close: () => {},
  };
}
