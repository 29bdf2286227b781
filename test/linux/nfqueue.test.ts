import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { openUdp } from '../../lab/udp.ts';
import { type Libc, loadLibc } from '../../native-bindings/engine.ts';
import { CAP_NET_ADMIN } from '../../native-bindings/linux/constants.ts';
import { setCapabilities } from '../../native-bindings/linux/privileges.ts';
import { InterceptError } from '../../src/intercept/interceptor.ts';
import { bindNfqueue, openNfqueue } from '../../src/intercept/nfqueue.ts';
import { enterNamespace, run, withoutRoot } from '../native-bindings/namespace.ts';

const OPTIONS = { queue: 3, length: 1024, failOpen: false };
const PORT = 5060;
let libc: Libc;

describe('intercept/nfqueue, on this kernel', { skip: withoutRoot }, () => {
  before(async () => {
    await enterNamespace();
    libc = await loadLibc();
    for (const iptables of ['iptables-legacy', 'ip6tables-legacy'])
      run(iptables, '-A', 'INPUT', '-p', 'udp', '--dport', `${PORT}`, '-j', 'NFQUEUE', '--queue-num', '3');
  });

  for (const address of ['127.0.0.1', '::1']) {
    it(`holds packets until each is released or dropped, in order, from ${address}`, () => {
      const queue = openNfqueue(libc, OPTIONS);
      const server = openUdp(libc, address, PORT);
      const client = openUdp(libc, address);
      assert.deepEqual(queue.receive(0), []);
      for (let n = 0; n < 40; n++) client.send(server, `message ${n}`);
      assert.equal(server.received(), null);
      const header = address === '::1' ? 48 : 28;
      let next = 0;
      for (let packets = queue.receive(1000); packets.length > 0; packets = queue.receive(0)) {
        for (const packet of packets) {
          assert.equal(packet.bytes.toString('latin1', header), `message ${next}`);
          assert.equal(packet.bytes[0]! >> 4, address === '::1' ? 6 : 4);
          if (next % 4 === 3) queue.drop(packet);
          else queue.release(packet);
          assert.equal(server.received(), next % 4 === 3 ? null : `message ${next}`);
          next++;
        }
      }
      assert.equal(next, 40);
      assert.deepEqual(queue.counters(), { queueFull: 0, socketFull: 0, verdictErrors: 0, cut: 0 });
      queue.close();
      server.close();
      client.close();
    });
  }

  it('keeps packets while its holder is gone: the next takes over those at hand and those that wait', () => {
    const bound = bindNfqueue(libc, OPTIONS);
    const server = openUdp(libc, '127.0.0.1', PORT);
    const client = openUdp(libc, '127.0.0.1');
    const first = openNfqueue(libc, OPTIONS, bound);
    for (const text of ['at hand', 'at hand, too']) client.send(server, text);
    const left = first.receive(1000).map((packet) => ({
      entered: packet.entered,
      bytes: Buffer.from(packet.bytes),
      way: Buffer.from(first.succession!.wayOf(packet)),
    }));
    assert.equal(left.length, 2);
    client.send(server, 'in the queue');
    const next = openNfqueue(libc, OPTIONS, bound);
    const taken = left.map(({ bytes, way }) => next.succession!.takeOver(bytes, way));
    assert.deepEqual(
      taken.map(({ entered }) => entered),
      left.map(({ entered }) => entered),
    );
    assert.equal(typeof left[0]!.entered, 'number');
    const [one, other] = taken;
    next.drop(other!);
    next.release(one!);
    assert.deepEqual([server.received(), server.received()], ['at hand', null]);
    next.receive(1000).forEach(next.release);
    assert.equal(server.received(), 'in the queue');
    assert.deepEqual(next.counters(), { queueFull: 0, socketFull: 0, verdictErrors: 0, cut: 0 });
    for (const open of [next, server, client]) open.close();
  });

  it('counts what found the queue full, and lets it pass where told to', () => {
    for (const failOpen of [false, true]) {
      const queue = openNfqueue(libc, { ...OPTIONS, length: 5, failOpen });
      const server = openUdp(libc, '127.0.0.1', PORT);
      const client = openUdp(libc, '127.0.0.1');
      for (let n = 0; n < 8; n++) client.send(server, `${n}`);
      const passed = [server.received(), server.received(), server.received(), server.received()];
      assert.deepEqual(passed, failOpen ? ['5', '6', '7', null] : [null, null, null, null]);
      // The kernel counts as dropped only what it drops.
      assert.equal(queue.counters().queueFull, failOpen ? 0 : 3);
      for (const packet of queue.receive(0)) queue.release(packet);
      assert.deepEqual(
        Array.from({ length: 6 }, () => server.received()),
        ['0', '1', '2', '3', '4', null],
      );
      client.send(server, 'again');
      for (const packet of queue.receive(0)) queue.release(packet);
      assert.equal(server.received(), 'again');
      queue.close();
      server.close();
      client.close();
    }
  });

  it('counts what found its socket full, and takes packets again as soon as there is room', () => {
    const length = 100_000;
    const queue = openNfqueue(libc, { ...OPTIONS, length: 1 << 20 });
    const server = openUdp(libc, '127.0.0.1', PORT);
    const client = openUdp(libc, '127.0.0.1');
    const text = 'x'.repeat(60_000);
    const sent = Math.ceil((2.5 * queue.bufferSize) / text.length);
    assert.ok(sent < length);
    for (let n = 0; n < sent; n++) client.send(server, text);
    let received = 0;
    let refilled = 0;
    for (let packets = queue.receive(0); packets.length > 0; packets = queue.receive(0)) {
      for (const packet of packets) queue.drop(packet);
      received += packets.length;
      if (refilled === 0) {
        client.send(server, 'room');
        refilled++;
      }
    }
    const socketFull = queue.counters()['socketFull']!;
    assert.ok(socketFull > 0);
    assert.equal(received + socketFull, sent + refilled);
    queue.close();
    server.close();
    client.close();
  });

  it('says why when it cannot have the queue', () => {
    const queue = openNfqueue(libc, OPTIONS);
    assert.throws(
      () => openNfqueue(libc, OPTIONS),
      (error) =>
        error instanceof InterceptError &&
        error.code === 'EPERM' &&
        /NFQUEUE 3: .*another/.test(error.message),
    );
    queue.close();
  });

  it('goes on with CAP_NET_ADMIN alone, and does not without', () => {
    const server = openUdp(libc, '127.0.0.1', PORT);
    const client = openUdp(libc, '127.0.0.1');
    const queue = openNfqueue(libc, OPTIONS);
    setCapabilities(libc, [CAP_NET_ADMIN]);
    client.send(server, 'with');
    for (const packet of queue.receive(0)) queue.release(packet);
    assert.equal(server.received(), 'with');
    setCapabilities(libc, []);
    client.send(server, 'without');
    for (const packet of queue.receive(0)) queue.release(packet);
    assert.equal(server.received(), null);
    assert.deepEqual(queue.receive(20), []);
    assert.equal(queue.counters().verdictErrors, 1);
    assert.throws(
      () => openNfqueue(libc, { ...OPTIONS, queue: 4 }),
      (error) => error instanceof InterceptError && error.code === 'EPERM',
    );
    queue.close();
    server.close();
    client.close();
  });
});
