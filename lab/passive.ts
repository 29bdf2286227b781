/**
 * The other design, to compare with: a listener that sees copies of SIP from a packet socket and opens the same
 * pinholes by the same code, while the firewall forwards SIP without waiting. Started as pinholed is: run --config FILE.
 */
import { loadLibc } from '../native-bindings/engine.ts';
import { MSG_DONTWAIT, POLLIN, SOL_SOCKET } from '../native-bindings/linux/constants.ts';
import { pollfd } from '../native-bindings/poll.ts';
import { loadConfigFile } from '../src/config/load.ts';
import { createDataPath } from '../src/daemon/data-path/data-path.ts';
import { openNftables } from '../src/firewall/nftables.ts';
import { createInspector } from '../src/inspector.ts';
import type { HeldPacket, Interceptor } from '../src/intercept/interceptor.ts';

const AF_PACKET = 17;
const SOCK_DGRAM = 2;
/** htons(ETH_P_IP) */
const ETH_P_IP = 0x0008;
const SO_ATTACH_FILTER = 26;
/** sll_pkttype of what this host sends: forwarded packets are seen a second time. */
const PACKET_OUTGOING = 4;
const SIP_PORT = 5060;
const BATCH = 32;

const loaded = loadConfigFile(process.argv[4]!);
if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
const { settings } = loaded;
const libc = await loadLibc();
const firewall = openNftables(libc, settings.linux);
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** UDP over IPv4 without options, to or from the SIP port: tcpdump(1)'s `udp port 5060`, in classic BPF. */
const PROGRAM = [
  [0x30, 0, 0, 9], // ldb [9]: protocol
  [0x15, 0, 4, 17], // udp, or drop
  [0x28, 0, 0, 20], // ldh [20]: source port
  [0x15, 3, 0, SIP_PORT],
  [0x28, 0, 0, 22], // ldh [22]: destination port
  [0x15, 1, 0, SIP_PORT],
  [0x06, 0, 0, 0], // drop
  [0x06, 0, 0, 0xffff], // take it whole
] as const;

function openPacketSocket(): Interceptor {
  const fd = libc.check('socket', libc.socket(AF_PACKET, SOCK_DGRAM, ETH_P_IP));
  const program = Buffer.alloc(PROGRAM.length * 8);
  for (const [index, [code, whenTrue, whenFalse, operand]] of PROGRAM.entries()) {
    program.writeUInt16LE(code, index * 8);
    program[index * 8 + 2] = whenTrue;
    program[index * 8 + 3] = whenFalse;
    program.writeUInt32LE(operand, index * 8 + 4);
  }
  const filter = Buffer.alloc(16);
  filter.writeUInt16LE(PROGRAM.length);
  filter.writeBigUInt64LE(libc.address(program), 8);
  libc.check('setsockopt', libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, filter, filter.length));
  const descriptor = pollfd.encode({ fd, events: POLLIN });
  const sender = Buffer.alloc(20);
  const buffers = Array.from({ length: BATCH }, () => Buffer.alloc(65536));
  return {
    receive(timeout) {
      const packets: HeldPacket[] = [];
      if (timeout > 0) libc.poll(descriptor, 1, timeout);
      while (packets.length < BATCH) {
        const buffer = buffers[packets.length]!;
        const length = Buffer.from([sender.length, 0, 0, 0]);
        const size = libc.recvfrom(fd, buffer, buffer.length, MSG_DONTWAIT, sender, length);
        if (size < 0) break;
        if (sender[10] !== PACKET_OUTGOING) packets.push({ bytes: buffer.subarray(0, size), handle: 0 });
      }
      return packets;
    },
    release: () => undefined,
    drop: () => undefined,
    counters: () => ({}),
    news: () => [],
    close: () => libc.close(fd),
  };
}

const path = createDataPath({
  identity: { machine: '00000001', boot: null },
  ends: { interceptor: openPacketSocket(), firewall },
  inspector: createInspector(() => settings),
  settings: () => settings,
  changeSettings: () => undefined,
  clock: () => performance.now(),
  pause: (ms) => Atomics.wait(sleeper, 0, 0, ms),
  beat: () => undefined,
  nextOrder: () => null,
  post: () => undefined,
});
path.start({});
console.log('pinholes taken up: listening');
for (;;) path.turn();
