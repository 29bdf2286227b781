import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Libc, loadLibc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import { type HepArrival, type HepListener, openHepListener } from '../../src/intercept/hep/listener.ts';
import { KAMAILIO } from './hep-vectors.ts';

/** A loopback address of this process alone, where the system has all of 127.0.0.0/8. */
const own = (last: number) =>
  process.platform === 'linux'
    ? `127.${1 + (process.pid % 250)}.${(process.pid >> 8) & 0xff}.${last}`
    : '127.0.0.1';
const PORT = 19_060;

describe('the HEP listener', () => {
  let libc: Libc;
  before(async () => {
    libc = await loadLibc();
  });

  const opened: HepListener[] = [];
  after(() => {
    for (const one of opened) one.close();
  });

  function open(address: string, transports: readonly ('udp' | 'tcp')[], sender = ''): HepListener {
    const mayConnect = (one: string) => one === (sender || address);
    const listener = openHepListener(libc, { at: { address, port: PORT }, transports, mayConnect });
    opened.push(listener);
    return listener;
  }

  /** What has come once `wanted` holds; -1 as a descriptor is one that poll(2) passes over. */
  async function arrivals(listener: HepListener, wanted: (all: readonly HepArrival[]) => boolean) {
    const all: HepArrival[] = [];
    const until = performance.now() + 5000;
    while (!wanted(all)) {
      assert.ok(performance.now() < until, JSON.stringify(all));
      listener.wait([-1], 1);
      all.push(...listener.receive());
      await new Promise((resolve) => setImmediate(resolve));
    }
    return all;
  }

  for (const address of [own(1), '::1']) {
    it(`hands over what is sent to it, over UDP and TCP, with the sender: ${address}`, async () => {
      const listener = open(address, ['udp', 'tcp']);
      const socket = createSocket(address === '::1' ? 'udp6' : 'udp4');
      socket.bind(0, address);
      await once(socket, 'listening');
      socket.send(KAMAILIO.version3, PORT, address);
      const stream = connect({ host: address, port: PORT, localAddress: address });
      await once(stream, 'connect');
      const twice = Buffer.concat([KAMAILIO.version3, KAMAILIO.version3]);
      stream.write(twice.subarray(0, 100));
      await arrivals(listener, (all) => all.length === 1);
      stream.write(twice.subarray(100));
      const found = await arrivals(listener, (all) => all.length === 2);
      for (const { sender, bytes, fault } of found) {
        assert.equal(sender, address);
        assert.equal(fault, null);
        assert.deepEqual(bytes, KAMAILIO.version3);
      }
      socket.close();
      stream.destroy();
    });
  }

  it('gives up a connection on which something else comes, and says so', async () => {
    const listener = open(own(2), ['tcp']);
    const stream = connect({ host: own(2), port: PORT, localAddress: own(2) });
    stream.on('error', () => {});
    stream.write('GET / HTTP/1.1\r\n\r\n');
    const [arrival] = await arrivals(listener, (all) => all.length > 0);
    assert.match(arrival!.fault!, /no message of HEP version 3/);
    const closed = once(stream, 'close');
    stream.resume();
    await closed;
  });

  it('closes what a host connects that may not, and tells who', async () => {
    const listener = open(own(3), ['tcp'], '192.0.2.1');
    const stream = connect({ host: own(3), port: PORT, localAddress: own(3) });
    stream.on('error', () => {});
    const closed = once(stream, 'close');
    const [arrival] = await arrivals(listener, (all) => all.length > 0);
    assert.equal(arrival!.sender, own(3));
    assert.equal(arrival!.bytes, null);
    stream.resume();
    await closed;
  });

  it('hands over no more than 64 at a time, and loses nothing by that', async () => {
    const listener = open(own(4), ['tcp']);
    const stream = connect({ host: own(4), port: PORT, localAddress: own(4) });
    stream.write(Buffer.concat(Array.from({ length: 500 }, () => KAMAILIO.version3)));
    const all: HepArrival[] = [];
    const until = performance.now() + 5000;
    while (all.length < 500 && performance.now() < until) {
      listener.wait([-1], 1);
      const some = listener.receive();
      assert.ok(some.length <= 64 + 65_536 / KAMAILIO.version3.length, `${some.length} at a time`);
      all.push(...some);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(all.length, 500);
    assert.ok(all.every(({ bytes }) => bytes?.equals(KAMAILIO.version3)));
    stream.destroy();
  });

  it('hands over no more of the shortest messages at a time than a read of 8 KiB has', async () => {
    const listener = open(own(7), ['tcp']);
    const stream = connect({ host: own(7), port: PORT, localAddress: own(7) });
    const shortest = Buffer.from('HEP3\0\x06', 'latin1');
    const count = 10_000;
    await new Promise((sent) => stream.write(Buffer.concat(Array(count).fill(shortest)), sent));
    let [all, most] = [0, 0];
    for (const until = performance.now() + 5000; all < count && performance.now() < until; ) {
      listener.wait([-1], 1);
      const some = listener.receive().length;
      all += some;
      most = Math.max(most, some);
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(all, count);
    assert.ok(most <= 64 + 8192 / shortest.length, `${most} at a time`);
    stream.destroy();
  });

  it('hears each of those that send, however much the others do', async () => {
    const listener = open(own(6), ['udp', 'tcp']);
    const [loud, quiet] = await Promise.all(
      [1, 2].map(async () => {
        const stream = connect({ host: own(6), port: PORT, localAddress: own(6) });
        await once(stream, 'connect');
        return stream;
      }),
    );
    const message = (kind: number) => Buffer.concat([KAMAILIO.version3, Buffer.alloc(40_000, kind)]);
    const framed = (kind: number) => {
      const bytes = message(kind);
      bytes.writeUInt16BE(bytes.length, 4);
      return bytes;
    };
    loud!.on('error', () => {});
    loud!.write(Buffer.concat(Array.from({ length: 100 }, () => framed(1))));
    quiet!.write(framed(2));
    const socket = createSocket('udp4');
    const flood = (count: number) =>
      Promise.all(
        Array.from({ length: count }, () => new Promise((sent) => socket.send('noise', PORT, own(6), sent))),
      );
    await flood(64);
    const heard = new Set<number | undefined>();
    for (let turns = 0; turns < 50 && !(heard.has(1) && heard.has(2)); turns++) {
      listener.wait([-1], 100);
      for (const { bytes } of listener.receive()) heard.add(bytes?.at(-1));
      await flood(64);
    }
    socket.close();
    loud!.destroy();
    quiet!.destroy();
    assert.ok(heard.has(1) && heard.has(2) && heard.has('e'.charCodeAt(0)), [...heard].join());
  });

  it('says which address it could not have', () => {
    open(own(5), ['udp']);
    assert.throws(
      () => open(own(5), ['udp']),
      (error: Error) =>
        error instanceof SystemError && error.code === 'EADDRINUSE' && /hep\.listen/.test(error.message),
    );
    assert.throws(
      () => open('192.0.2.77', ['tcp']),
      (error: Error) => error instanceof SystemError && error.code === 'EADDRNOTAVAIL',
    );
  });
});
