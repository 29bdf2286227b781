/**
 * What a call through FFI costs, by koffi and, where PINHOLED_FFI_MODULES names its folder, by ffi-napi: in turns,
 * in one process, the median of many rounds, in processor time (its own and the kernel's for it), which other
 * work on the machine disturbs least.
 *   node bench/run.mjs ffi [rounds]
 */
import { type EngineName, type Libc, loadLibc } from '../native-bindings/engine.ts';
import { median } from './quantile.ts';

const AF_INET = 2;
const SOCK_DGRAM = 2;

interface Measurement {
  readonly name: string;
  readonly calls: number;
  /** Makes one timed unit of work. */
  readonly work: (libc: Libc) => () => void;
}

function udpSocket(libc: Libc): { fd: number; address: Buffer } {
  const fd = libc.check('socket', libc.socket(AF_INET, SOCK_DGRAM, 0));
  const address = Buffer.alloc(16);
  if (libc.platform.system === 'freebsd') address.set([16, AF_INET]);
  else address.writeUInt16LE(AF_INET);
  address.set([127, 0, 0, 1], 4);
  libc.check('bind', libc.bind(fd, address, address.length));
  libc.check('getsockname', libc.getsockname(fd, address, Buffer.from([16, 0, 0, 0])));
  return { fd, address };
}

const measurements: readonly Measurement[] = [
  { name: 'getpid', calls: 20_000, work: (libc) => () => void libc.getpid() },
  {
    name: 'ioctl FIONREAD (variadic)',
    calls: 10_000,
    work(libc) {
      const { fd } = udpSocket(libc);
      const request = libc.platform.system === 'freebsd' ? 0x4004667f : 0x541b;
      const count = Buffer.alloc(4);
      return () => void libc.ioctl(fd, request, count);
    },
  },
  {
    name: 'recvfrom, nothing waits, with errno',
    calls: 10_000,
    work(libc) {
      const { fd } = udpSocket(libc);
      const dontWait = libc.platform.system === 'freebsd' ? 0x80 : 0x40;
      const packet = Buffer.alloc(65536);
      const from = Buffer.alloc(16);
      const length = Buffer.from([16, 0, 0, 0]);
      return () => {
        if (libc.recvfrom(fd, packet, packet.length, dontWait, from, length) >= 0)
          throw new Error('unexpected');
        if (libc.failure() !== 'EAGAIN') throw new Error(libc.failure());
      };
    },
  },
  {
    name: 'UDP echo of 700 bytes: sendto, recvfrom, sendto, recvfrom',
    calls: 2_000,
    work(libc) {
      const [client, server] = [udpSocket(libc), udpSocket(libc)];
      const message = Buffer.alloc(700, 0x41);
      const packet = Buffer.alloc(65536);
      const from = Buffer.alloc(16);
      const length = Buffer.from([16, 0, 0, 0]);
      return () => {
        libc.sendto(client.fd, message, message.length, 0, server.address, 16);
        const size = libc.recvfrom(server.fd, packet, packet.length, 0, from, length);
        libc.sendto(server.fd, packet, size, 0, from, 16);
        if (libc.recvfrom(client.fd, packet, packet.length, 0, from, length) !== 700)
          throw new Error('echo lost');
      };
    },
  },
];

/** Nanoseconds of processor time for one unit of work. */
function time(work: () => void, calls: number): number {
  const start = process.cpuUsage();
  for (let call = 0; call < calls; call++) work();
  const { user, system } = process.cpuUsage(start);
  return ((user + system) * 1000) / calls;
}

const rounds = Number(process.argv[2] ?? 15);
const engines: EngineName[] =
  process.env['PINHOLED_FFI_MODULES'] === undefined ? ['koffi'] : ['koffi', 'ffi-napi'];
const loaded = await Promise.all(engines.map((engine) => loadLibc(engine)));
const runtime =
  process.versions['bun'] === undefined ? `Node ${process.version}` : `Bun ${process.versions['bun']}`;
console.log(`${runtime}, ${process.platform}/${process.arch}, median of ${rounds} rounds, ns`);
console.log(['work', ...engines, ...(engines.length > 1 ? ['ratio'] : [])].join('\t'));
for (const { name, calls, work } of measurements) {
  const each = loaded.map((libc) => ({ run: work(libc), times: [] as number[] }));
  for (const { run } of each) time(run, calls);
  for (let round = 0; round < rounds; round++) {
    for (const { run, times } of each) times.push(time(run, calls));
  }
  const medians = each.map(({ times }) => median(times));
  const ratio = medians.length > 1 ? [(medians[1]! / medians[0]!).toFixed(1)] : [];
  console.log([name, ...medians.map((value) => value.toFixed(0)), ...ratio].join('\t'));
}
if (engines.length === 1)
  console.log('ffi-napi: set PINHOLED_FFI_MODULES to a folder it is installed in (.ci/ffi-napi.sh)');
