import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Worker } from 'node:worker_threads';
import { loadLibc } from '../../native-bindings/engine.ts';
import * as freebsd from '../../native-bindings/freebsd/kernel.ts';
import { CAP_NET_ADMIN } from '../../native-bindings/linux/constants.ts';
import { openNetlink } from '../../native-bindings/linux/netlink.ts';
import { nftBatch } from '../../native-bindings/linux/nftables.ts';
import * as linux from '../../native-bindings/linux/privileges.ts';
import { enterNamespace, withoutRoot } from './namespace.ts';

const NOBODY = 65534;

describe('peer credentials', () => {
  it('of a local socket are those of the process that connected', async () => {
    const libc = await loadLibc();
    const path = join(mkdtempSync(join(tmpdir(), 'pinholed-')), 'socket');
    const server = createServer().listen(path);
    await once(server, 'listening');
    const client = createConnection(path);
    const [accepted] = (await once(server, 'connection')) as [Socket & { _handle: { fd: number } }];
    const { fd } = accepted._handle;
    const peer =
      libc.platform.system === 'linux' ? linux.peerCredentials(libc, fd) : freebsd.peerCredentials(libc, fd);
    assert.deepEqual([peer.uid, peer.gid], [process.geteuid?.(), process.getegid?.()]);
    if ('pid' in peer) assert.equal(peer.pid, process.pid);
    client.destroy();
    accepted.destroy();
    server.close();
  });
});

// Runs last: there is no way back to root.
describe('giving up root', { skip: withoutRoot }, () => {
  it('leaves one capability, in this thread and in those started later, and no way back', async () => {
    await enterNamespace();
    const libc = await loadLibc();
    linux.dropPrivileges(libc, NOBODY, NOBODY, [CAP_NET_ADMIN]);
    assert.deepEqual(linux.effectiveCapabilities(libc), [CAP_NET_ADMIN]);
    assert.deepEqual([process.getuid?.(), process.geteuid?.(), process.getgid?.()], [NOBODY, NOBODY, NOBODY]);
    assert.deepEqual(
      process.getgroups?.().filter((group) => group !== NOBODY),
      [],
    );
    assert.equal(libc.setuid(0), -1);
    assert.equal(libc.failure(), 'EPERM');
    assert.equal(libc.open('/etc/shadow', 0, 0), -1);
    assert.equal(libc.failure(), 'EACCES');

    const socket = openNetlink(libc);
    const batch = nftBatch(socket);
    batch.addTable('pinholed_test');
    batch.commit();

    const worker = new Worker(new URL('./worker.mjs', import.meta.url), {
      workerData: './privileges-worker.ts',
    });
    assert.deepEqual((await once(worker, 'message'))[0], { capabilities: [CAP_NET_ADMIN], changed: true });
    await worker.terminate();
  });
});
