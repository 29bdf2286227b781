import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { loadLibc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';

const libc = await loadLibc();
const AF_INET = 2;
const SOCK_DGRAM = 2;

/** A sockaddr_in for 127.0.0.1: FreeBSD's first byte is the length, Linux's first two the family. */
function loopback(port: number): Buffer {
  const address = Buffer.alloc(16);
  if (libc.platform.system === 'freebsd') address.set([16, AF_INET]);
  else address.writeUInt16LE(AF_INET);
  address.writeUInt16BE(port, 2);
  address.set([127, 0, 0, 1], 4);
  return address;
}

function udpSocket(): { fd: number; address: Buffer } {
  const fd = libc.check('socket', libc.socket(AF_INET, SOCK_DGRAM, 0));
  const address = loopback(0);
  libc.check('bind', libc.bind(fd, address, 16));
  const length = Buffer.from([16, 0, 0, 0]);
  libc.check('getsockname', libc.getsockname(fd, address, length));
  return { fd, address };
}

const SOL_SOCKET = libc.platform.system === 'freebsd' ? 0xffff : 1;

describe(`libc by ${libc.engine}`, () => {
  it('binds the engine the environment asks for', () => {
    assert.equal(libc.engine, process.env['PINHOLED_FFI'] ?? 'koffi');
  });

  it('passes no argument and returns an int', () => {
    assert.equal(libc.getpid(), process.pid);
    assert.equal(libc.geteuid(), process.geteuid?.());
  });

  it('fills buffers and takes them back: a datagram to oneself, with its sender', () => {
    const { fd, address } = udpSocket();
    const message = Buffer.from('OPTIONS sip:a@example.com SIP/2.0\r\n');
    assert.equal(libc.sendto(fd, message, message.length, 0, address, 16), message.length);
    const received = Buffer.alloc(2048);
    const from = Buffer.alloc(16);
    const fromLength = Buffer.from([16, 0, 0, 0]);
    assert.equal(libc.recvfrom(fd, received, received.length, 0, from, fromLength), message.length);
    assert.deepEqual(received.subarray(0, message.length), message);
    assert.deepEqual(from, address);
    libc.check('close', libc.close(fd));
  });

  it('writes through a view into a larger buffer, and nowhere else', () => {
    const { fd, address } = udpSocket();
    libc.sendto(fd, Buffer.from('xyz'), 3, 0, address, 16);
    const arena = Buffer.alloc(64, 0xaa);
    assert.equal(libc.recv(fd, arena.subarray(10, 30), 20, 0), 3);
    assert.equal(arena.subarray(9, 14).toString('latin1'), '\xaaxyz\xaa');
    libc.close(fd);
  });

  it('talks to a socket that libuv opened', async () => {
    const peer = createSocket('udp4');
    peer.bind(0, '127.0.0.1');
    await once(peer, 'listening');
    const { fd } = udpSocket();
    const arrived = once(peer, 'message');
    libc.check('sendto', libc.sendto(fd, Buffer.from('hello'), 5, 0, loopback(peer.address().port), 16));
    assert.equal(String((await arrived)[0]), 'hello');
    peer.close();
    libc.close(fd);
  });

  it('calls variadic functions: open, fcntl, ioctl', () => {
    const fd = libc.check('open', libc.open('/dev/null', 0, 0), '/dev/null');
    const F_GETFD = 1;
    const F_SETFD = 2;
    assert.equal(libc.fcntl(fd, F_SETFD, 1), 0);
    assert.equal(libc.fcntl(fd, F_GETFD, 0), 1);
    libc.close(fd);

    const socket = udpSocket();
    libc.sendto(socket.fd, Buffer.alloc(77), 77, 0, socket.address, 16);
    const FIONREAD = libc.platform.system === 'freebsd' ? 0x4004667f : 0x541b;
    const waiting = Buffer.alloc(4);
    libc.check('FIONREAD', libc.ioctl(socket.fd, FIONREAD, waiting));
    // FreeBSD counts the sender's address too.
    assert.ok(waiting.readUInt32LE() >= 77);
    libc.close(socket.fd);
  });

  it('polls', () => {
    const { fd, address } = udpSocket();
    const polled = Buffer.alloc(8);
    polled.writeInt32LE(fd);
    polled.writeInt16LE(1, 4);
    assert.equal(libc.poll(polled, 1, 0), 0);
    libc.sendto(fd, Buffer.from('x'), 1, 0, address, 16);
    assert.equal(libc.poll(polled, 1, 1000), 1);
    assert.equal(polled.readInt16LE(6), 1);
    libc.close(fd);
  });

  it('passes strings, and NULL for a buffer', () => {
    const name = libc.platform.system === 'freebsd' ? 'lo0' : 'lo';
    assert.ok(libc.if_nametoindex(name) > 0);
    assert.equal(libc.if_nametoindex('no-such-if'), 0);
    const { fd } = udpSocket();
    assert.equal(libc.sendto(fd, null, 0, 0, null, 0), -1);
    libc.close(fd);
  });

  it('knows the address of a buffer, and of a view into it', () => {
    const buffer = Buffer.alloc(4096);
    assert.ok(libc.address(buffer) > 0n);
    assert.equal(libc.address(buffer.subarray(100)), libc.address(buffer) + 100n);
  });

  it('says why a call failed, by symbol', () => {
    assert.equal(libc.close(-1), -1);
    assert.equal(libc.failure(), 'EBADF');
    const { fd } = udpSocket();
    const MSG_DONTWAIT = libc.platform.system === 'freebsd' ? 0x80 : 0x40;
    assert.equal(libc.recv(fd, Buffer.alloc(8), 8, MSG_DONTWAIT), -1);
    assert.equal(libc.failure(), 'EAGAIN');
    const second = libc.socket(AF_INET, SOCK_DGRAM, 0);
    const taken = Buffer.alloc(16);
    libc.getsockname(fd, taken, Buffer.from([16, 0, 0, 0]));
    assert.throws(
      () => libc.check('bind', libc.bind(second, taken, 16), `port ${taken.readUInt16BE(2)}`),
      (error) =>
        error instanceof SystemError &&
        error.call === 'bind' &&
        error.code === 'EADDRINUSE' &&
        error.number === constants.errno.EADDRINUSE &&
        error.message === `bind (port ${taken.readUInt16BE(2)}): EADDRINUSE: address in use`,
    );
    libc.close(second);
    libc.close(fd);
  });

  it('refuses the other system’s functions by name', () => {
    const call = libc.platform.system === 'linux' ? () => libc.kldload('x') : () => libc.capset(null, null);
    assert.throws(call, /is not in the libc of (linux|freebsd)/);
  });

  it('sets socket options', () => {
    const { fd } = udpSocket();
    const SO_RCVBUF = libc.platform.system === 'freebsd' ? 0x1002 : 8;
    const value = Buffer.alloc(4);
    value.writeUInt32LE(50_000);
    libc.check('setsockopt', libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUF, value, 4));
    const length = Buffer.from([4, 0, 0, 0]);
    libc.check('getsockopt', libc.getsockopt(fd, SOL_SOCKET, SO_RCVBUF, value, length));
    assert.ok(value.readUInt32LE() >= 50_000);
    libc.close(fd);
  });

  it('works in a worker thread that blocks, while the main thread works too', async () => {
    const worker = new Worker(new URL('./worker.mjs', import.meta.url), { workerData: './libc-worker.ts' });
    const [port] = (await once(worker, 'message')) as [number];
    const { fd } = udpSocket();
    const answer = once(worker, 'message') as Promise<[string]>;
    libc.check('sendto', libc.sendto(fd, Buffer.from('ping'), 4, 0, loopback(port), 16));
    assert.equal((await answer)[0], `ping by ${libc.engine}`);
    await worker.terminate();
    libc.close(fd);
  });
});
