/**
 * A host of the topology: reads a list of steps on stdin, does one after the other without giving anything else a
 * chance in between, and answers with all that arrived meanwhile. Steps that follow each other are system calls
 * that follow each other.
 */
import koffi from 'koffi';
import { loadLibc } from '../native-bindings/engine.ts';
import { AF_INET, AF_INET6, MSG_DONTWAIT, POLLIN } from '../native-bindings/linux/constants.ts';
import { pollfd } from '../native-bindings/poll.ts';
import { formatIPv4, formatIPv6 } from '../src/address/address.ts';
import { type Arrival, PATIENCE, type Report, type Request, type Step, type Turn } from './steps.ts';
import { sockaddr } from './udp.ts';

const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const IPPROTO_RAW = 255;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUF = 8;
const SO_SNDTIMEO = 21;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const RECEIVE_BUFFER = 4 * 1024 * 1024;
/** ms: T1 and T2 of RFC 3261 17.1.1.1. */
const FIRST_AGAIN = 500;
const LAST_AGAIN = 4000;

const libc = await loadLibc();
const c = koffi.load('libc.so.6');
const listen = c.func('int listen(int fd, int backlog)');
const accept = c.func('int accept(int fd, void *address, void *length)');

interface Socket {
  readonly fd: number;
  readonly stream: boolean;
  /** Bytes of a stream that nobody has waited for yet. */
  ahead: Buffer;
  /** Datagrams that came before they were waited for. */
  readonly early: Buffer[];
}

const NOTHING = Buffer.alloc(0);
/** struct timeval: how long connect(2) waits for an answer. */
const patience = Buffer.alloc(16);
patience.writeBigInt64LE(BigInt(PATIENCE / 1000));

const sockets = new Map<string, Socket>();
const rawSockets = new Map<number, number>();
const buffer = Buffer.alloc(65536);
const sender = Buffer.alloc(28);
/** The bytes of the last arrival, until the next. */
let arrived = buffer.subarray(0, 0);

function named(name: string): Socket {
  const socket = sockets.get(name);
  if (socket === undefined) throw new Error(`no socket ${name}`);
  return socket;
}

function option(fd: number, level: number, name: number, value: number): void {
  const argument = Buffer.alloc(4);
  argument.writeInt32LE(value);
  libc.check('setsockopt', libc.setsockopt(fd, level, name, argument, 4));
}

function open(name: string, type: number, address: string, port: number): number {
  const own = sockaddr(address, port);
  const fd = libc.check('socket', libc.socket(own.readUInt16LE(), type, 0));
  option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  option(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
  libc.check('bind', libc.bind(fd, own, own.length), `${address} ${port}`);
  sockets.set(name, { fd, stream: type === SOCK_STREAM, ahead: NOTHING, early: [] });
  return fd;
}

function raw(packet: Buffer): void {
  const family = packet[0]! >> 4 === 4 ? AF_INET : AF_INET6;
  let fd = rawSockets.get(family);
  if (fd === undefined) {
    fd = libc.check('socket', libc.socket(family, SOCK_RAW, IPPROTO_RAW));
    rawSockets.set(family, fd);
  }
  const to = family === AF_INET ? sockaddr(formatIPv4(packet, 16), 0) : sockaddr(formatIPv6(packet, 24), 0);
  libc.check('sendto', libc.sendto(fd, packet, packet.length, 0, to, to.length));
}

/** Takes one datagram, or what a stream has; null where nothing is there. */
function take(name: string, { fd, stream }: Socket): Arrival | null {
  const length = Buffer.from([sender.length, 0, 0, 0]);
  const size = stream
    ? libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT)
    : libc.recvfrom(fd, buffer, buffer.length, MSG_DONTWAIT, sender, length);
  // An ICMP error that came for an earlier datagram is no arrival.
  if (size < 0) return null;
  arrived = buffer.subarray(0, size);
  const ipv4 = sender.readUInt16LE() === AF_INET;
  return {
    socket: name,
    from: stream ? '' : ipv4 ? formatIPv4(sender, 4) : formatIPv6(sender, 8),
    fromPort: stream ? 0 : sender.readUInt16BE(2),
    data: arrived.toString('base64'),
  };
}

/** Waits until the socket is readable; false after `ms`. */
function readable(fd: number, ms: number): boolean {
  return libc.poll(pollfd.encode({ fd, events: POLLIN }), 1, ms) > 0;
}

/** What a step does when its turn comes; returns what is wrong, or null. */
type Act = (arrivals: Arrival[]) => string | null;

/** Everything that can be worked out beforehand is: between two steps there are only their system calls. */
function prepare(step: Step): Act {
  switch (step.do) {
    case 'udp':
      return done(() => open(step.socket, SOCK_DGRAM, step.address, step.port));
    case 'send': {
      const data = Buffer.from(step.data, 'base64');
      const to = sockaddr(step.to, step.port);
      return done(() => libc.sendto(named(step.socket).fd, data, data.length, 0, to, to.length));
    }
    case 'raw': {
      const packet = Buffer.from(step.data, 'base64');
      return done(() => raw(packet));
    }
    case 'expect': {
      const wanted = Buffer.from(step.data, 'base64');
      return (arrivals) => {
        const failure = expect(step.socket, wanted, step.within, arrivals);
        return step.mayFail === true ? null : failure;
      };
    }
    case 'talk':
      return (arrivals) => talk(step.socket, step.turns, step.within, arrivals);
    case 'take':
      return (arrivals) => {
        const socket = named(step.socket);
        for (let got = take(step.socket, socket); got !== null; got = take(step.socket, socket)) {
          arrivals.push(got);
          if (socket.stream && got.data === '') break;
        }
        return null;
      };
    case 'pause':
      return done(() => libc.poll(null, 0, step.ms));
    case 'listen':
      return () => {
        const fd = open(step.socket, SOCK_STREAM, step.address, step.port);
        return listen(fd, 64) === 0 ? null : 'listen failed';
      };
    case 'accept':
      return () => {
        const { fd } = named(step.on);
        if (!readable(fd, step.within)) return `nobody connected to ${step.on}`;
        const accepted: number = accept(fd, null, null);
        option(accepted, IPPROTO_TCP, TCP_NODELAY, 1);
        sockets.set(step.socket, { fd: accepted, stream: true, ahead: NOTHING, early: [] });
        return null;
      };
    case 'connect':
      return () => {
        const fd = open(step.socket, SOCK_STREAM, step.address, step.port);
        option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        libc.check('setsockopt', libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, patience, patience.length));
        const to = sockaddr(step.to, step.toPort);
        return libc.connect(fd, to, to.length) === 0 ? null : `connect: ${libc.failure()}`;
      };
    case 'write': {
      const data = Buffer.from(step.data, 'base64');
      return done(() => libc.check('send', libc.send(named(step.socket).fd, data, data.length, 0)));
    }
    case 'close':
      return done(() => {
        libc.close(named(step.socket).fd);
        sockets.delete(step.socket);
      });
  }
}

function done(work: () => void): Act {
  return () => {
    work();
    return null;
  };
}

/** Waits for the datagram, or for the bytes of the stream. What else arrives is kept, for later steps, too. */
function expect(name: string, wanted: Buffer, within: number, arrivals: Arrival[]): string | null {
  const socket = named(name);
  const until = performance.now() + within;
  const before = socket.early.findIndex((datagram) => datagram.equals(wanted));
  if (before >= 0) {
    socket.early.splice(before, 1);
    return null;
  }
  while (!socket.stream || socket.ahead.length < wanted.length) {
    const left = until - performance.now();
    if (left <= 0 || !readable(socket.fd, Math.ceil(left))) {
      return `${name}: ${JSON.stringify(wanted.toString('latin1', 0, 60))} did not arrive`;
    }
    const arrival = take(name, socket);
    if (arrival === null) continue;
    arrivals.push(arrival);
    if (socket.stream) {
      if (arrived.length === 0) return `${name}: the connection ended`;
      socket.ahead = Buffer.concat([socket.ahead, arrived]);
    } else {
      if (arrived.equals(wanted)) return null;
      socket.early.push(Buffer.from(arrived));
    }
  }
  const found = socket.ahead.subarray(0, wanted.length);
  socket.ahead = Buffer.from(socket.ahead.subarray(wanted.length));
  return found.equals(wanted) ? null : `${name}: other bytes: ${JSON.stringify(found.toString('latin1'))}`;
}

function by(turns: readonly Turn[], key: 'on' | 'until'): Map<string | null, Turn[]> {
  const found = new Map<string | null, Turn[]>();
  for (const turn of turns) found.set(turn[key], [...(found.get(turn[key]) ?? []), turn]);
  return found;
}

/** Takes turns as `talk` in steps.ts says; what was sent again is an arrival from nobody. */
function talk(name: string, turns: readonly Turn[], within: number, arrivals: Arrival[]): string | null {
  const socket = named(name);
  const over = new Set<Turn>();
  const waiting = new Map<Turn, { at: number; after: number }>();
  const [begun, ended] = [by(turns, 'on'), by(turns, 'until')];
  const say = ({ send }: Turn) => {
    for (const { socket, to, port, data } of send) {
      const bytes = Buffer.from(data, 'base64');
      const address = sockaddr(to, port);
      libc.sendto(named(socket).fd, bytes, bytes.length, 0, address, address.length);
    }
  };
  const begin = (turn: Turn) => {
    say(turn);
    if (turn.until === null) over.add(turn);
    else if (!over.has(turn) && !waiting.has(turn))
      waiting.set(turn, { at: performance.now() + FIRST_AGAIN, after: FIRST_AGAIN });
  };
  const arrive = (data: string) => {
    for (const turn of ended.get(data) ?? []) {
      waiting.delete(turn);
      over.add(turn);
    }
    for (const turn of begun.get(data) ?? []) begin(turn);
  };
  for (const turn of begun.get(null) ?? []) begin(turn);
  for (const early of socket.early.splice(0)) arrive(early.toString('base64'));
  const until = performance.now() + within;
  while (over.size < turns.length) {
    const now = performance.now();
    if (now > until) return `${name}: ${turns.length - over.size} of ${turns.length} turns are not over`;
    for (const [turn, when] of waiting) {
      if (when.at > now) continue;
      say(turn);
      for (const { socket, data } of turn.send) arrivals.push({ socket, from: '', fromPort: 0, data });
      when.after = Math.min(2 * when.after, LAST_AGAIN);
      when.at = now + when.after;
    }
    if (!readable(socket.fd, 50)) continue;
    for (let got = take(name, socket); got !== null; got = take(name, socket)) arrive(got.data);
  }
  return null;
}

function run({ id, steps }: Request): Report {
  const arrivals: Arrival[] = [];
  const acts = steps.map(prepare);
  for (const [index, act] of acts.entries()) {
    let wrong: string | null;
    try {
      wrong = act(arrivals);
    } catch (error) {
      wrong = String(error);
    }
    if (wrong !== null) return { id, arrivals, failure: `step ${index} (${steps[index]!.do}): ${wrong}` };
  }
  return { id, arrivals, failure: null };
}

let text = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (part: string) => {
  text += part;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
    const request = JSON.parse(text.slice(0, end)) as Request;
    text = text.slice(end + 1);
    process.stdout.write(`${JSON.stringify(run(request))}\n`);
  }
});
process.stdin.on('end', () => process.exit());
process.stdout.write('{"ready":true}\n');
