/**
 * The two ends of a measurement, as programs:
 * `echo.ts serve ADDRESS PORT [TEXT]` sends every datagram back (or TEXT in its place), `echo.ts ask` reads lines
 * `{from, to, port, fresh, messages}` and answers each with the round-trip times in microseconds, -1 for what did not
 * come back; with `fresh` each message leaves from a port of its own.
 */
import { createInterface } from 'node:readline';
import { sockaddr } from '../../lab/udp.ts';
import { loadLibc } from '../../native-bindings/engine.ts';
import { MSG_DONTWAIT, POLLIN } from '../../native-bindings/linux/constants.ts';
import { pollfd } from '../../native-bindings/poll.ts';

const SOCK_DGRAM = 2;
const WAIT = 2000;

export interface Question {
  readonly from: string;
  readonly to: string;
  readonly port: number;
  readonly fresh: boolean;
  readonly messages: readonly string[];
}

const libc = await loadLibc();
const buffer = Buffer.alloc(65536);

function open(address: string, port: number): number {
  const own = sockaddr(address, port);
  const fd = libc.check('socket', libc.socket(own.readUInt16LE(), SOCK_DGRAM, 0));
  libc.check('bind', libc.bind(fd, own, own.length), `${address} ${port}`);
  return fd;
}

function serve(address: string, port: number, text: string | undefined): void {
  const fd = open(address, port);
  const sender = Buffer.alloc(28);
  const size = Buffer.alloc(4);
  const fixed = text === undefined ? null : Buffer.from(JSON.parse(text) as string);
  process.stdout.write('ready\n');
  for (;;) {
    size.writeUInt32LE(sender.length);
    const length = libc.recvfrom(fd, buffer, buffer.length, 0, sender, size);
    if (length < 0) continue;
    const answer = fixed ?? buffer.subarray(0, length);
    libc.sendto(fd, answer, answer.length, 0, sender, size.readUInt32LE());
  }
}

function ask({ from, to, port, fresh, messages }: Question): number[] {
  const target = sockaddr(to, port);
  const kept = fresh ? null : open(from, 5060);
  const times: number[] = [];
  for (const message of messages.map((text) => Buffer.from(text))) {
    const fd = kept ?? open(from, 0);
    const ready = pollfd.encode({ fd, events: POLLIN });
    const start = process.hrtime.bigint();
    libc.sendto(fd, message, message.length, 0, target, target.length);
    const came = libc.poll(ready, 1, WAIT) > 0 && libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT) >= 0;
    times.push(came ? Number(process.hrtime.bigint() - start) / 1000 : -1);
    if (kept === null) libc.close(fd);
  }
  if (kept !== null) libc.close(kept);
  return times;
}

const [what, address, port, text] = process.argv.slice(2);
if (what === 'serve') serve(address!, Number(port), text);
else {
  process.stdout.write('ready\n');
  for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(ask(JSON.parse(line) as Question))}\n`);
  }
}
