import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { messageBatch } from '../../native-bindings/message-batch.ts';

const libc = await loadLibc();
const AF_INET = 2;
const SOCK_DGRAM = 2;

function bound(): { fd: number; address: Buffer } {
  const fd = libc.check('socket', libc.socket(AF_INET, SOCK_DGRAM, 0));
  const address = Buffer.alloc(16);
  if (libc.platform.system === 'freebsd') address.set([16, AF_INET]);
  else address.writeUInt16LE(AF_INET);
  address.set([127, 0, 0, 1], 4);
  libc.check('bind', libc.bind(fd, address, 16));
  libc.check('getsockname', libc.getsockname(fd, address, Buffer.from([16, 0, 0, 0])));
  return { fd, address };
}

describe('message batch', () => {
  it('takes what waits, each with its sender, and cuts what does not fit', () => {
    const server = bound();
    const clients = [bound(), bound(), bound()];
    const batch = messageBatch(libc, 4, 16, 16);
    const texts = ['first', 'the second is longer than its place', ''];
    clients.forEach(({ fd }, index) => {
      const bytes = Buffer.from(texts[index]!);
      libc.check('sendto', libc.sendto(fd, bytes, bytes.length, 0, server.address, 16));
    });
    assert.equal(batch.receive(server.fd), 3);
    texts.forEach((text, index) => {
      assert.equal(batch.message(index).toString(), text.slice(0, 16));
      assert.deepEqual(batch.address(index), clients[index]!.address);
    });
    assert.equal(batch.receive(server.fd), -1);
    assert.equal(libc.failure(), 'EAGAIN');
    for (const { fd } of [server, ...clients]) libc.close(fd);
  });

  it('takes at most as many as it has room for, and keeps the order', () => {
    const server = bound();
    const batch = messageBatch(libc, 4, 64, 0);
    for (let n = 0; n < 6; n++) libc.sendto(server.fd, Buffer.from(`message ${n}`), 9, 0, server.address, 16);
    const seen: string[] = [];
    for (let count = batch.receive(server.fd); count > 0; count = batch.receive(server.fd)) {
      for (let index = 0; index < count; index++) seen.push(batch.message(index).toString());
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 6 }, (_, n) => `message ${n}`),
    );
    libc.close(server.fd);
  });
});
