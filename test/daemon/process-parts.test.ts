import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { defaults } from '../../src/config/load.ts';
import { createClock } from '../../src/daemon/clock.ts';
import { differences } from '../../src/daemon/data-path/reconcile.ts';
import { platformName, StartError } from '../../src/daemon/platform/platform.ts';
import { dataPathCommand, ownCommand } from '../../src/daemon/process/own-command.ts';
import { endOrphan, writePidFile } from '../../src/daemon/process/pid-file.ts';
import { packetUser, readerOf } from '../../src/daemon/process/privileges.ts';
import { keepEarlySignals, onSignals } from '../../src/daemon/process/signals.ts';
import { reloadable } from '../../src/daemon/reloadable.ts';
import { createRetirer } from '../../src/daemon/retirer.ts';
import { createTrafficWatch, type SeenMedia } from '../../src/daemon/traffic.ts';
import { FirewallError, type LastCounts } from '../../src/firewall/firewall.ts';
import { pinhole } from './doubles.ts';

const directory = mkdtempSync(join(tmpdir(), 'pinholed-parts-'));
after(() => rmSync(directory, { recursive: true }));

describe('pid file', () => {
  it('replaces what a dead process left, through no link, and goes with its owner', () => {
    const path = join(directory, 'pid');
    const target = join(directory, 'precious');
    writeFileSync(target, '2147483647\n');
    symlinkSync(target, path);
    const remove = writePidFile(path);
    assert.equal(readFileSync(path, 'utf8'), `${process.pid}\n`);
    assert.equal(readFileSync(target, 'utf8'), '2147483647\n');
    assert.equal(statSync(path).mode & 0o777, 0o644);
    remove();
    assert.equal(existsSync(path), false);
  });

  it('stays when it has become another one’s', () => {
    const path = join(directory, 'pid2');
    const remove = writePidFile(path);
    writeFileSync(path, '1\n');
    remove();
    assert.equal(readFileSync(path, 'utf8'), '1\n');
  });

  it('is not respected when its number is another program’s by now', () => {
    const path = join(directory, 'pid3');
    writeFileSync(path, `${process.ppid}\n`);
    writePidFile(path)();
  });

  it('says where it cannot be written', () => {
    const path = join(directory, 'nowhere', 'pid');
    assert.throws(
      () => writePidFile(path),
      ({ message }: Error) => message.startsWith(`daemon.pid-file: ${path} cannot be written: ENOENT`),
    );
  });

  it('leads to an orphan, and to no other process', async () => {
    const path = join(directory, 'orphan');
    const wait = 'setInterval(() => {}, 1000)';
    const bystander = spawn(process.execPath, ['-e', wait]);
    writeFileSync(path, `${bystander.pid}\n`);
    assert.equal(await endOrphan(path), null);
    assert.equal(bystander.exitCode, null);
    bystander.kill();
    const orphan = spawn(process.execPath, ['-e', wait, 'run', '--supervised']);
    const exit = new Promise((resolve) => orphan.on('exit', (_, signal) => resolve(signal)));
    writeFileSync(path, `${orphan.pid}\n`);
    assert.equal(await endOrphan(path), orphan.pid);
    assert.equal(await exit, 'SIGKILL');
    assert.equal(await endOrphan(path), null);
  });
});

describe('own command', () => {
  it('repeats runtime, options and script', () => {
    const command = ownCommand(['run'], {
      execPath: '/bin/node',
      execArgv: ['--x'],
      argv: ['/bin/node', '/m.js', 'y'],
    });
    assert.deepEqual(command, ['/bin/node', '--x', '/m.js', 'run']);
  });

  it('is the executable alone where all is packed into one', () => {
    const command = ownCommand(['run'], {
      execPath: '/sbin/pinholed',
      execArgv: [],
      argv: ['bun', '/$bunfs/root/pinholed'],
    });
    assert.deepEqual(command, ['/sbin/pinholed', 'run']);
  });
});

describe('command of the data path', () => {
  const runtime = { execPath: '/bin/node', execArgv: ['--x'], argv: ['/bin/node', '/m.js', 'y'] };

  it('tells V8 how to collect the young generation, before what was asked for by hand', () => {
    const command = dataPathCommand(['run'], { ...runtime, versions: { node: '20.0.0' } as never });
    const options = ['--max-semi-space-size=4', '--no-parallel-scavenge'];
    assert.deepEqual(command, ['/bin/node', ...options, '--x', '/m.js', 'run']);
  });

  it('has no options of V8 under another engine', () => {
    const command = dataPathCommand(['run'], {
      ...runtime,
      versions: { node: '20.0.0', bun: '1.4.0' } as never,
    });
    assert.deepEqual(command, ['/bin/node', '--x', '/m.js', 'run']);
  });
});

describe('platform name', () => {
  it('is that of the system, unless the settings insist on another', () => {
    assert.equal(platformName({ platform: 'auto' }, 'freebsd'), 'freebsd');
    assert.equal(platformName({ platform: 'linux' }, 'linux'), 'linux');
    assert.throws(
      () => platformName({ platform: 'freebsd' }, 'linux'),
      /freebsd is configured, but this is linux/,
    );
    assert.throws(() => platformName({ platform: 'auto' }, 'darwin'), StartError);
  });
});

describe('the user that reads packets', () => {
  const settings = (user: string, group: string) => ({ daemon: { ...defaults().daemon, user, group } });

  it('is looked up in the databases of the system', () => {
    const [, , uid, gid] = readFileSync('/etc/passwd', 'utf8')
      .split('\n')
      .find((line) => line.startsWith('nobody:'))!
      .split(':');
    const user = packetUser(settings('_pinholed', '_pinholed'), 'nobody')!;
    assert.deepEqual([user.uid, user.gid], [Number(uid), Number(gid)]);
  });

  it('may be root when that is said', () => {
    assert.equal(packetUser(settings('_pinholed', '_pinholed'), 'root'), null);
    assert.equal(packetUser(settings('root', '_pinholed'), null), null);
  });

  it('has to exist, and so has its group', () => {
    const missing = 'no-such-name-here';
    assert.throws(
      () => packetUser(settings(missing, 'nogroup'), null),
      /daemon\.user: there is no user no-such-name-here/,
    );
    assert.throws(
      () => packetUser(settings('nobody', missing), null),
      /daemon\.group: there is no group no-such-name-here \(create it: .*groupadd .*no-such-name-here/,
    );
  });

  it('is the one that started the process where that is not root, with or without a name', {
    skip: process.geteuid?.() === 0 ? false : 'needs root',
  }, () => {
    const nameless = 54_321;
    try {
      process.seteuid!(nameless);
      const user = readerOf(settings('_pinholed', '_pinholed'), null);
      assert.deepEqual(user, { name: String(nameless), uid: nameless, gid: process.getegid!() });
    } finally {
      process.seteuid!(0);
    }
  });
});

describe('settings on a reload', () => {
  it('are the new ones but for those that need a restart', () => {
    const current = defaults();
    const next = {
      ...current,
      strict: true,
      sipPorts: [[5070, 5070] as const],
      freebsd: { ...current.freebsd, shards: 8, log: 'all' as const },
    };
    const merged = reloadable(current, next);
    assert.equal(merged.strict, true);
    assert.deepEqual(merged.sipPorts, current.sipPorts);
    assert.equal(merged.freebsd.shards, current.freebsd.shards);
    assert.equal(merged.freebsd.log, 'all');
    assert.deepEqual(Object.keys(merged), Object.keys(current));
  });
});

describe('differences between a filter and the intended set', () => {
  it('are none for equal sets', () => {
    assert.deepEqual(differences([pinhole(1), pinhole(2)], [pinhole(2), pinhole(1)]), []);
  });

  it('open before they close, but for a rule under another label', () => {
    const mine = pinhole(3, '00000000000000bb');
    assert.deepEqual(differences([pinhole(1), pinhole(3)], [pinhole(2), mine]), [
      { open: [], close: [pinhole(3)] },
      { open: [pinhole(2), mine], close: [] },
      { open: [], close: [pinhole(1)] },
    ]);
  });

  it('come in pieces of bounded size', () => {
    const many = Array.from({ length: 1000 }, (_, index) => pinhole(1024 + 2 * index));
    const changes = differences([], many);
    assert.ok(changes.every(({ open }) => open.length <= 64));
    assert.deepEqual(
      changes.flatMap(({ open }) => open),
      many,
    );
  });
});

describe('traffic watch', () => {
  const counters = (...entries: [string, number][]) =>
    new Map(entries.map(([id, packets]) => [id, { packets, bytes: packets * 100, sent: null }]));
  const ids = (seen: readonly SeenMedia[]) => seen.map(([id]) => id);

  it('names pinholes in which packets were counted since', () => {
    const watch = createTrafficWatch();
    assert.deepEqual(ids(watch.update(counters(['a', 5], ['b', 0]))), ['a']);
    assert.deepEqual(ids(watch.update(counters(['a', 5], ['b', 1]))), ['b']);
    assert.deepEqual(ids(watch.update(counters(['a', 2], ['b', 1]))), ['a'], 'a new rule with the same id');
  });

  it('tells what came from what was sent, where the filter does', () => {
    const watch = createTrafficWatch();
    const update = (packets: number, sent: number | null) =>
      watch.update(new Map([['a', { packets, bytes: 0, sent }]])).map(([, way]) => way);
    assert.deepEqual(update(5, 0), ['came']);
    assert.deepEqual(update(5, 3), ['sent']);
    assert.deepEqual(update(9, 3), ['came']);
    assert.deepEqual(update(9, 1), [], 'a flow has ended');
    assert.deepEqual(update(10, 2), ['came', 'sent']);
    assert.deepEqual(update(11, null), ['untold']);
    assert.deepEqual(update(11, null), []);
    assert.deepEqual(watch.last('a'), { packets: 11, bytes: 0, sent: 4 });
  });

  it('remembers the count of a pinhole through which nothing comes, as long as the filter tells of it', () => {
    const watch = createTrafficWatch();
    for (let times = 0; times < 5; times++) watch.update(counters(['a', 5]));
    assert.deepEqual(watch.last('a'), { packets: 5, bytes: 500, sent: null });
    assert.deepEqual(watch.total, { packets: 5, bytes: 500 });
  });

  it('remembers the count of a pinhole that has just been closed', () => {
    const watch = createTrafficWatch();
    watch.update(counters(['a', 5]));
    watch.update(counters());
    assert.deepEqual(watch.last('a'), { packets: 5, bytes: 500, sent: null });
    watch.update(counters());
    assert.equal(watch.last('a'), undefined);
  });

  it('takes the count of the moment in which a pinhole was closed', () => {
    const watch = createTrafficWatch();
    watch.update(counters(['a', 5], ['b', 1]));
    watch.closed(counters(['a', 8], ['short', 3]));
    assert.deepEqual(watch.last('a'), { packets: 8, bytes: 800, sent: null });
    assert.deepEqual(watch.last('short'), { packets: 3, bytes: 300, sent: null });
    assert.deepEqual(watch.total, { packets: 12, bytes: 1200 });
    assert.deepEqual(ids(watch.update(counters(['a', 2], ['b', 1]))), ['a'], 'opened again');
    assert.deepEqual(watch.total, { packets: 14, bytes: 1400 });
  });

  it('counts for the first call what was counted before the watch had heard of it', () => {
    const watch = createTrafficWatch();
    watch.update(counters(['a', 2]));
    watch.shared('a', 'first');
    watch.update(counters(['a', 3]));
    assert.deepEqual(watch.last('a', 'first'), { packets: 3, bytes: 300, sent: null });
    watch.left('a', 'first');
    watch.closed(counters(['a', 4]));
    watch.update(counters(['a', 1]));
    watch.shared('a', 'next');
    assert.deepEqual(watch.last('a', 'next'), { packets: 1, bytes: 100, sent: null });
  });

  it('counts for a call what came since it has had a pinhole that others had before', () => {
    const watch = createTrafficWatch();
    watch.shared('a', 'first');
    watch.update(counters(['a', 5]));
    watch.shared('a', 'second');
    watch.update(counters(['a', 12]));
    assert.deepEqual(watch.last('a', 'first'), { packets: 12, bytes: 1200, sent: null });
    assert.deepEqual(watch.last('a', 'second'), { packets: 7, bytes: 700, sent: null });
    assert.deepEqual(watch.last('a'), { packets: 12, bytes: 1200, sent: null });
    watch.left('a', 'second');
    watch.update(counters(['a', 13]));
    assert.deepEqual(
      watch.last('a', 'second'),
      { packets: 8, bytes: 800, sent: null },
      'who is told late is told',
    );
    watch.shared('a', 'second');
    assert.deepEqual(watch.last('a', 'second'), { packets: 0, bytes: 0, sent: null }, 'it has it again');
  });

  it('counts all for who comes once all of several have left, in whatever order and however often', () => {
    const watch = createTrafficWatch();
    for (const legId of ['first', 'second', 'third', 'second']) watch.shared('a', legId);
    watch.update(counters(['a', 5]));
    for (const legId of ['first', 'nobody', 'third', 'second']) watch.left('a', legId);
    watch.shared('a', 'next');
    assert.deepEqual(watch.last('a', 'next'), { packets: 5, bytes: 500, sent: null });
  });

  it('counts for a call all that came, when the pinhole was closed before it was opened for it', () => {
    const watch = createTrafficWatch();
    watch.update(counters(['a', 5]));
    watch.closed(counters(['a', 8]));
    watch.shared('a', 'second');
    watch.update(counters(['a', 9]));
    assert.deepEqual(watch.last('a', 'second'), { packets: 9, bytes: 900, sent: null });
    assert.equal(watch.total.packets, 17);
    watch.shared('a', 'third');
    watch.update(counters(['a', 3]));
    assert.deepEqual(
      watch.last('a', 'third'),
      { packets: 3, bytes: 300, sent: null },
      'another rule counts from 0',
    );
  });

  it('counts nothing twice when a pinhole was not read once', () => {
    const watch = createTrafficWatch();
    watch.update(counters(['a', 5]));
    watch.update(counters());
    assert.deepEqual(ids(watch.update(counters(['a', 6]))), ['a']);
    assert.deepEqual(watch.total, { packets: 6, bytes: 600 });
  });
});

describe('retirer', () => {
  it('asks at once, gathers what comes meanwhile, and asks again when the filter refuses', async () => {
    const asked: number[][] = [];
    let refusals = 2;
    const complaints: string[] = [];
    const counts: LastCounts[] = [];
    const done = new Promise<void>((resolve) => {
      const retirer = createRetirer({
        firewall: {
          retire({ closed = [] }) {
            asked.push(closed.map(({ ports }) => ports[0]));
            if (refusals-- > 0) throw new FirewallError('busy', 'EBUSY', true);
            resolve();
            return { states: closed.length, counts: new Map([['a', { packets: 1, bytes: 100 }]]) };
          },
        },
        counted: (last) => counts.push(last),
        complain: (text) => complaints.push(text),
      });
      retirer.closed([pinhole(1)]);
      retirer.closed([]);
      retirer.closed([pinhole(2)]);
    });
    await done;
    assert.deepEqual(asked, [[1], [1, 2], [1, 2]]);
    assert.deepEqual(counts, [new Map([['a', { packets: 1, bytes: 100 }]])]);
    assert.deepEqual(complaints, []);
  });

  it('asks quickly at first and for good later, at a stop for good at once where states may be left', (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    const asked: string[] = [];
    const retirer = createRetirer({
      firewall: {
        retire({ closed = [], quickly = false }) {
          asked.push(`${closed.map(({ ports }) => ports[0])} ${quickly ? 'quickly' : 'for good'}`);
          return { states: 0, counts: new Map(), isPartial: quickly && closed[0]!.ports[0] !== 3 };
        },
      },
      counted: () => {},
      complain: assert.fail,
      clock: () => 0,
    });
    retirer.closed([pinhole(1)]);
    retirer.closed([pinhole(2)]);
    retirer.flush();
    retirer.closed([pinhole(3)]);
    retirer.flush();
    retirer.end();
    context.mock.timers.tick(10_000);
    assert.deepEqual(asked, ['1 quickly', '2 quickly', '1,2 for good', '3 quickly', '1,2 for good']);
  });

  it('asks once more a second later, for what stragglers made, until the filter has done it, and counts nothing twice', (context) => {
    context.mock.timers.enable({ apis: ['setTimeout'] });
    let now = 0;
    let refuses = false;
    let counted = 0;
    const asked: string[] = [];
    const retirer = createRetirer({
      firewall: {
        retire({ closed = [] }) {
          asked.push(`${now}: ${closed.map(({ ports }) => ports[0])}`);
          if (refuses) throw new FirewallError('busy', 'EBUSY', true);
          return { states: 0, counts: new Map() };
        },
      },
      counted: () => counted++,
      complain: assert.fail,
      clock: () => now,
    });
    const pass = (ms: number) => {
      for (let passed = 0; passed < ms; passed += 10) {
        now += 10;
        context.mock.timers.tick(10);
      }
    };
    retirer.closed([pinhole(1)]);
    pass(500);
    retirer.closed([pinhole(2)]);
    pass(490);
    refuses = true;
    pass(200);
    refuses = false;
    pass(10_000);
    assert.deepEqual(asked, ['0: 1', '500: 2', '1000: 1', '1200: 1', '1500: 2']);
    assert.equal(counted, 2);
  });
});

describe('clock', () => {
  it('is the kernel’s monotonic clock', {
    skip: existsSync('/proc/uptime') ? false : 'needs /proc/uptime',
  }, async () => {
    const clock = createClock(await loadLibc());
    const before = process.hrtime.bigint();
    const now = BigInt(Math.round(clock() * 1e6));
    const after = process.hrtime.bigint();
    const slack = 1_000_000n;
    assert.ok(now >= before - slack && now <= after + slack, `${before} ${now} ${after}`);
  });
});

describe('signals', () => {
  it('that come during a start are done once it is over, each once', async () => {
    const done: string[] = [];
    const early = keepEarlySignals();
    process.kill(process.pid, 'SIGHUP');
    process.kill(process.pid, 'SIGHUP');
    await new Promise<void>((resolve) => {
      const seen = () => {
        process.off('SIGHUP', seen);
        resolve();
      };
      process.on('SIGHUP', seen);
    });
    await new Promise<void>((resolve) => {
      const signals = onSignals({
        stop: () => done.push('stop'),
        reload: () => {
          done.push('reload');
          signals.end();
          resolve();
        },
        tellStatus: () => done.push('status'),
        ...{ supervised: false, early },
      });
      assert.deepEqual(done, [], 'whoever asked is not at work yet');
    });
    assert.deepEqual(done, ['reload']);
    assert.equal(process.listenerCount('SIGHUP'), 0);
  });
});
