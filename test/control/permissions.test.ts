import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { ControlError, connectControl } from '../../src/control/client.ts';
import { listenUnix } from '../../src/control/listen.ts';
import { type AdmittedPeers, mayConnect, peerOf, renewed } from '../../src/control/peer.ts';
import { StartError } from '../../src/daemon/platform/platform.ts';
import { findGroup, findUser } from '../../src/daemon/process/privileges.ts';
import { dial, scratch, serve } from './socket.ts';

const withoutRoot = process.geteuid?.() === 0 ? false : 'needs root';
let directory: ReturnType<typeof scratch>;
let path: string;
const cleaners: (() => void)[] = [];
beforeEach(() => {
  directory = scratch();
  path = join(directory.path, 'sock');
});
afterEach(() => {
  for (const clean of cleaners.splice(0)) clean();
  directory.remove();
});

async function listen(mode = 0o600, gid: number | null = null) {
  const server = await listenUnix({ path, mode, gid });
  cleaners.push(() => server.close());
  return server;
}

/** A socket file whose process was killed. */
async function leaveStale(): Promise<void> {
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

describe('the socket', () => {
  it('is reachable for its owner only', async () => {
    const before = process.umask(0o000);
    try {
      await listen();
    } finally {
      assert.equal(process.umask(before), 0o000, 'the umask is as it was');
    }
    const { mode, uid } = lstatSync(path);
    assert.equal((mode & 0o777).toString(8), '600');
    assert.equal(uid, process.geteuid?.());
  });

  it('has the group and the mode of the settings', { skip: withoutRoot }, async () => {
    const { gid } = findGroup('nogroup') ?? findGroup('nobody')!;
    await listen(0o660, gid);
    const found = lstatSync(path);
    assert.equal((found.mode & 0o777).toString(8), '660');
    assert.equal(found.gid, gid);
  });

  it('takes the place of one that nobody answers', async () => {
    await leaveStale();
    assert.ok(lstatSync(path).isSocket());
    await listen();
    const client = await dial(path);
    client.socket.destroy();
  });

  it('leaves one alone that is in use', async () => {
    const other = createServer().listen(path);
    await once(other, 'listening');
    cleaners.push(() => other.close());
    await assert.rejects(listen(), (error: StartError) => {
      assert.ok(error instanceof StartError);
      assert.match(error.message, /is in use: another pinholed runs/);
      return true;
    });
    const client = await dial(path);
    client.socket.destroy();
  });

  it('leaves a file alone', async () => {
    writeFileSync(path, 'precious');
    await assert.rejects(listen(), /is there and is no socket/);
    assert.equal(readFileSync(path, 'utf8'), 'precious');
  });

  for (const target of ['a file', 'nothing']) {
    it(`does not follow a symbolic link to ${target}`, async () => {
      const victim = join(directory.path, 'victim');
      if (target === 'a file') writeFileSync(victim, 'precious');
      symlinkSync(victim, path);
      await assert.rejects(listen(), /is there and is no socket/);
      assert.equal(readlinkSync(path), victim);
      assert.equal(lstatSync(victim, { throwIfNoEntry: false })?.isSocket() ?? false, false);
    });
  }

  it('is not made where others may put something in its place', async () => {
    chmodSync(directory.path, 0o777);
    await assert.rejects(listen(), /can be changed by others/);
    chmodSync(directory.path, 0o775);
    await assert.rejects(listen(), /can be changed by others/);
    chmodSync(directory.path, 0o1777);
    await listen();
  });

  it('is not made below such a directory', async () => {
    const inner = join(directory.path, 'inner');
    mkdirSync(inner, 0o755);
    chmodSync(directory.path, 0o777);
    path = join(inner, 'sock');
    await assert.rejects(listen(), /can be changed by others/);
    chmodSync(directory.path, 0o755);
  });

  it('names the directory that is not there', async () => {
    path = join(directory.path, 'none', 'sock');
    await assert.rejects(listen(), /none: ENOENT/);
  });
});

describe('who may connect', () => {
  const group = { gid: 500, members: new Set([1001]) };
  const CASES: readonly (readonly [
    who: string,
    uid: number,
    gid: number,
    admission: AdmittedPeers,
    boolean,
  ])[] = [
    ['root', 0, 0, { uid: 64, group: null }, true],
    ["the daemon's own user", 64, 64, { uid: 64, group: null }, true],
    ['somebody else', 1000, 1000, { uid: 64, group: null }, false],
    ['somebody else with the group', 1000, 500, { uid: 64, group }, true],
    ['a member of the group', 1001, 1000, { uid: 64, group }, true],
    ['somebody of another group', 1002, 1000, { uid: 64, group }, false],
    ['the group where none is admitted', 1000, 500, { uid: 64, group: null }, false],
  ];
  for (const [who, uid, gid, admission, may] of CASES) {
    it(`${may ? 'admits' : 'refuses'} ${who}`, () => assert.equal(mayConnect({ uid, gid }, admission), may));
  }

  /** What a process of this user gets to hear: the lines, or the code of the error. */
  async function askAs(uid: number, gid: number, socket: string): Promise<string> {
    const script = `
      const s = require('net').createConnection(${JSON.stringify(socket)});
      s.on('error', (e) => console.log(e.code));
      s.on('connect', () => s.end('{"request":"status"}\\n'));
      s.on('data', (d) => process.stdout.write(d));`;
    const child = spawn(process.execPath, ['-e', script], { uid, gid, stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += chunk;
    });
    await once(child, 'close');
    return text;
  }

  it('is asked of the kernel', { skip: withoutRoot }, async () => {
    const libc = await loadLibc();
    const nobody = findUser('nobody', null);
    const seen: unknown[] = [];
    const server = await serve(
      { status: async () => 'welcome' },
      {
        peerOf: (socket) => peerOf(libc, socket),
        mayConnect(peer) {
          seen.push(peer);
          return mayConnect(peer, { uid: 0, group: null });
        },
      },
    );
    try {
      assert.match(await askAs(nobody.uid, nobody.gid, server.path), /^EACCES/, 'the mode is in force');
      assert.equal(seen.length, 0);
      chmodSync(server.path, 0o666);
      const answer = await askAs(nobody.uid, nobody.gid, server.path);
      assert.match(answer, /"code":"forbidden","message":"user \d+ may not use the control socket"/);
      assert.doesNotMatch(answer, /welcome/);
      assert.match(await askAs(0, 0, server.path), /welcome/);
      const peers = seen.map((peer) => (peer as { uid: number }).uid);
      assert.deepEqual(peers, [nobody.uid, 0]);
    } finally {
      server.stop();
    }
  });

  it('lets the group of the settings in, and nobody else', { skip: withoutRoot }, async () => {
    const libc = await loadLibc();
    const nobody = findUser('nobody', null);
    const { gid } = nobody;
    const admission = { uid: 0, group: { gid, members: new Set<number>() } };
    const server = await serve(
      { status: async () => 'welcome' },
      { peerOf: (socket) => peerOf(libc, socket), mayConnect: (peer) => mayConnect(peer, admission) },
      { mode: 0o660, gid },
    );
    try {
      assert.match(await askAs(nobody.uid, gid, server.path), /welcome/);
      assert.match(await askAs(1, gid, server.path), /welcome/, 'another user with the group');
      assert.match(await askAs(1, 1, server.path), /^EACCES/);
      chmodSync(server.path, 0o666);
      assert.match(await askAs(1, 1, server.path), /forbidden/);
    } finally {
      server.stop();
    }
  });

  it('follows the members of its group, and keeps what it knew when that cannot be looked up', () => {
    const before = { gid: 7, members: new Set([1001]) };
    const now = { gid: 7, members: new Set([1002]) };
    const peer = { uid: 1002, gid: 100 };
    assert.equal(mayConnect(peer, { uid: 9, group: renewed(before, now) }), true);
    assert.equal(mayConnect({ uid: 1001, gid: 100 }, { uid: 9, group: renewed(before, now) }), false);
    for (const found of [null, { gid: 8, members: new Set([1002]) }]) {
      assert.equal(mayConnect(peer, { uid: 9, group: renewed(before, found) }), false);
    }
  });

  it('sends away whom it cannot ask the kernel about', async () => {
    const server = await serve(
      { status: async () => 'welcome' },
      {
        peerOf: () => {
          throw new Error('getsockopt: EBADF');
        },
        mayConnect: (peer) => mayConnect(peer, { uid: 0, group: null }),
      },
    );
    const client = await dial(server.path);
    assert.equal(((await client.rest()).at(-1)!['error'] as { code: string }).code, 'forbidden');
    server.stop();
  });
});

describe('the client', () => {
  async function failure(at: string): Promise<ControlError> {
    const error = await connectControl(at).then(
      () => assert.fail('connected'),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof ControlError, String(error));
    return error;
  }

  it('says that the daemon is not running', async () => {
    const nothing = await failure(path);
    assert.equal(nothing.code, 'not-running');
    assert.match(nothing.message, /the daemon is not running .*: there is no such socket/);
    await leaveStale();
    const stale = await failure(path);
    assert.equal(stale.code, 'not-running');
    assert.match(stale.message, /nobody listens there any more/);
  });

  it('says that a file or a directory is no socket', async () => {
    writeFileSync(`${path}.file`, '');
    for (const other of [`${path}.file`, join(path, '..')]) {
      const error = await failure(other);
      assert.equal(error.code, 'broken');
      assert.equal(
        error.message,
        `${other}: this is no socket; the daemon's is control.socket of its configuration`,
      );
    }
  });

  it('says that there is no permission, and what to do', { skip: withoutRoot }, async () => {
    await listen(0o600);
    const nobody = findUser('nobody', null);
    process.setegid!(nobody.gid);
    process.seteuid!(nobody.uid);
    try {
      const error = await failure(path);
      assert.equal(error.code, 'no-permission');
      assert.match(error.message, /as root, or set control\.group and control\.mode: 0660/);
    } finally {
      process.seteuid!(0);
      process.setegid!(0);
    }
  });

  async function answering(greeting: string): Promise<void> {
    const other = createServer((socket) => socket.end(greeting)).listen(path);
    await once(other, 'listening');
    cleaners.push(() => other.close());
  }

  it('says which versions do not match', async () => {
    await answering('{"pinholed":"9.1.0","protocol":2}\n');
    const error = await failure(path);
    assert.equal(error.code, 'protocol');
    assert.match(
      error.message,
      /version mismatch: the daemon is pinholed 9\.1\.0 \(protocol 2\), this is .* \(protocol 1\): update this program/,
    );
  });

  for (const greeting of ['SSH-2.0-x\n', '{}\n', '[]\n', '']) {
    it(`knows that ${JSON.stringify(greeting)} is no greeting`, async () => {
      await answering(greeting);
      assert.equal((await failure(path)).code, 'broken');
    });
  }

  it('does not wait for ever', async () => {
    const other = createServer().listen(path);
    await once(other, 'listening');
    cleaners.push(() => other.close());
    await assert.rejects(connectControl(path, 50), /no answer within 0\.05 s/);
  });
});
