import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { openFileLock } from '../../native-bindings/file-lock.ts';
import { FirewallError } from '../../src/firewall/firewall.ts';
import { createReloadGate } from '../../src/firewall/pf/reload-gate.ts';
import { openPfFirewall } from '../../src/firewall/pf.ts';
import { createFakePf } from './fake-pf.ts';
import { loaded, options, pinhole } from './firewall-checks.ts';

/** sys/file.h, sys/fcntl.h. */
const LOCK_EX = 2;

/** A lock that others hold for so many ms of a clock that only sleeping moves. */
function scene(heldFor: number) {
  let now = 0;
  const lock = { tryShared: () => now >= heldFor, release: () => {}, close: () => {} };
  const pf = createFakePf();
  const sleep = (ms: number) => {
    now += ms;
  };
  const gate = createReloadGate(lock, { now: () => now, sleep });
  return {
    pf,
    gate,
    get now() {
      return now;
    },
    wait: (ms: number) => {
      now += ms;
      heldFor = now + ms;
    },
  };
}

describe('while the firewall loads its ruleset', () => {
  it('no new ticket of the address pool is asked for, for at most 300 ms', () => {
    const one = scene(200);
    const firewall = openPfFirewall(one.pf, { ...options, gate: one.gate });
    assert.equal(one.now, 200);
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    assert.equal(loaded(one.pf).length, 1);
  });

  it('a ticket that is good still serves', () => {
    const one = scene(0);
    const firewall = openPfFirewall(one.pf, { ...options, gate: one.gate });
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    one.wait(10_000);
    const before = one.now;
    one.pf.calls.clear();
    firewall.commit({ open: [pinhole(10_002)], close: [pinhole(10_000)] });
    assert.equal(one.now, before);
    assert.equal(one.pf.calls.get('DIOCBEGINADDRS'), undefined);
  });

  it('what needs one is refused after 300 ms, and may be tried again; what closes is closed', () => {
    const one = scene(0);
    const firewall = openPfFirewall(one.pf, { ...options, gate: one.gate });
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    one.wait(10_000);
    one.pf.others.takePool();
    const before = one.now;
    assert.throws(
      () => firewall.commit({ open: [pinhole(10_002)], close: [] }),
      (error) => error instanceof FirewallError && error.transient,
    );
    assert.ok(one.now - before >= 300 && one.now - before <= 305, `${one.now - before} ms`);
    firewall.commit({ open: [], close: [pinhole(10_000)] });
    assert.deepEqual(loaded(one.pf), []);
    assert.equal(firewall.intact(), true);
  });
});

describe('while one ruleset is loaded after the other', () => {
  it('a change waits 300 ms in all, though each ticket that it got was taken away again', () => {
    let now = 0;
    let isTaking = false;
    const pf = createFakePf();
    // Held, then free for a moment, and what was had in that moment is gone before it is used.
    const lock = { tryShared: () => now % 100 === 0, release: () => {}, close: () => {} };
    const gate = createReloadGate(lock, {
      now: () => now,
      sleep: (ms) => {
        now += ms;
      },
    });
    const firewall = openPfFirewall(pf, { ...options, gate });
    pf.refuse = (call) => {
      if (isTaking && call === 'DIOCCHANGERULE') {
        now += 5;
        return 'EBUSY';
      }
      return null;
    };
    isTaking = true;
    const before = now;
    assert.throws(
      () => firewall.commit({ open: [pinhole(10_000)], close: [] }),
      (error) => error instanceof FirewallError && error.transient,
    );
    assert.ok(now - before <= 305, `${now - before} ms`);
    isTaking = false;
    firewall.commit({ open: [pinhole(10_000)], close: [] });
    assert.equal(loaded(pf).length, 1);
  });
});

describe('flock(2)', () => {
  it('shares with others, and not with one who has it for himself', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pinholed-lock-'));
    const path = join(directory, 'filter.lock');
    writeFileSync(path, '');
    const libc = await loadLibc();
    const [one, other] = [openFileLock(libc, path), openFileLock(libc, path)];
    try {
      assert.ok(one.tryShared() && other.tryShared());
      const exclusive = () =>
        execFileSync('flock', ['-n', path, 'echo', 'mine'], { stdio: 'pipe' }).toString();
      assert.throws(exclusive);
      one.release();
      other.release();
      assert.equal(exclusive(), 'mine\n');
      const fd = libc.check('open', libc.open(path, 0, 0), path);
      libc.check('flock', libc.flock(fd, LOCK_EX), path);
      assert.equal(one.tryShared(), false);
      libc.close(fd);
      assert.ok(one.tryShared());
    } finally {
      one.close();
      other.close();
      rmSync(directory, { recursive: true });
    }
  });

  it('names a file that is not there', async () => {
    const libc = await loadLibc();
    assert.throws(() => openFileLock(libc, '/nonexistent/filter.lock'), /ENOENT/);
  });
});
