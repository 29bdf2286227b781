import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';
import { udpPacket } from '../packets.ts';
import { sdp, sip } from '../scene.ts';

const program = fileURLToPath(new URL('./process.ts', import.meta.url));
/** The runtime under test: this one, or the Bun that PINHOLED_TEST_BUN names. */
const bun = process.env['PINHOLED_TEST_BUN'];
const [runtime, ...runtimeOptions] = bun === undefined ? [process.execPath, '--import', 'tsx'] : [bun];
const started: Daemon[] = [];
const directories: string[] = [];
after(() => {
  for (const { child, stderr } of started) {
    child.kill('SIGKILL');
    for (const [, pid] of stderr().matchAll(/pinholed .*, pid (\d+), user/g)) killIfAlive(Number(pid));
  }
  for (const directory of directories) rmSync(directory, { recursive: true });
});

const alice = { address: '192.0.2.1', port: 5060 };
const bob = { address: '10.0.0.5', port: 5060 };
const invite = (callId: string) =>
  udpPacket(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [6000]) }));
const answer = (callId: string, port: number) =>
  udpPacket(bob, alice, sip('200 INVITE', { callId, to: 'b', body: sdp(bob.address, [port]) }));
const bye = (callId: string) => udpPacket(alice, bob, sip('BYE', { callId, to: 'b', cseq: 2 }));
const byeDone = (callId: string) => udpPacket(bob, alice, sip('200 BYE', { callId, to: 'b', cseq: 2 }));

interface Daemon {
  readonly directory: string;
  readonly child: ChildProcess;
  readonly log: () => string[];
  readonly rules: () => number[];
  readonly stderr: () => string;
  /** Resolves once stderr matches. */
  readonly said: (pattern: RegExp) => Promise<void>;
  readonly exit: Promise<number | null>;
}

interface Setup {
  readonly flags?: readonly string[];
  readonly config?: string;
  /** Where an earlier daemon has run. */
  readonly directory?: string;
  readonly env?: NodeJS.ProcessEnv;
}

function configText(directory: string, more = ''): string {
  return [
    'inside: [10.0.0.0/8]',
    `daemon: { pid-file: ${directory}/pid, journal: ${directory}/state/journal, user: nobody, group: nogroup }`,
    'timers: { drain: 0 }',
    more,
  ].join('\n');
}

function start({ flags = [], config = '', directory: given, env = {} }: Setup = {}): Daemon {
  const directory = given ?? mkdtempSync(join(tmpdir(), 'pinholed-daemon-'));
  if (given === undefined) directories.push(directory);
  chmodSync(directory, 0o777);
  writeFileSync(join(directory, 'config'), configText(directory, config));
  const child = spawn(runtime!, [...runtimeOptions, program, join(directory, 'config'), ...flags], {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...process.env, ...env, PINHOLED_TEST_DIRECTORY: directory },
  });
  let text = '';
  child.stderr!.on('data', (chunk) => {
    text += chunk;
  });
  const exit = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const daemon: Daemon = {
    directory,
    child,
    exit,
    stderr: () => text,
    log: () => lines(join(directory, 'log')),
    rules: () =>
      existsSync(join(directory, 'rules'))
        ? (JSON.parse(readFileSync(join(directory, 'rules'), 'utf8')) as Pinhole[]).map(
            ({ ports }) => ports[0],
          )
        : [],
    said: (pattern) =>
      until(
        () => {
          if (child.exitCode !== null && !pattern.test(text))
            throw new Error(`it ended, having said: ${text}`);
          return pattern.test(text);
        },
        () => text,
      ),
  };
  started.push(daemon);
  return daemon;
}

/** What is left of a daemon whose supervisor was killed. */
function killIfAlive(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {}
}

function lines(path: string): string[] {
  return existsSync(path) ? readFileSync(path, 'utf8').trim().split('\n') : [];
}

/** Asks again and again; gives up after what even a very busy machine does not need. */
async function until(condition: () => boolean, seen: () => string = () => ''): Promise<void> {
  const giveUpAt = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error(`it did not happen; seen was: ${seen()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Sends packets until each has come back, as SIP over UDP does. */
async function pass(directory: string, ...packets: readonly Buffer[]): Promise<void> {
  await until(() => existsSync(join(directory, 'port')));
  const socket: Socket = createSocket('udp4');
  for (const packet of packets) {
    const back = new Promise<Buffer>((resolve) => socket.once('message', resolve));
    const send = () =>
      socket.send(packet, Number(readFileSync(join(directory, 'port'), 'utf8')), '127.0.0.1');
    send();
    const again = setInterval(send, 500);
    assert.deepEqual(await back, packet, 'byte for byte');
    clearInterval(again);
  }
  socket.close();
}

function send(directory: string, text: string): void {
  const socket = createSocket('udp4');
  const port = Number(readFileSync(join(directory, 'port'), 'utf8'));
  socket.send(text, port, '127.0.0.1', () => socket.close());
}

const isRunning = /pinholed .* pid \d+/;
const isRunningAgain = /pinholed .* pid \d+.*\n(.*\n)*.*pinholed .* pid \d+/;

describe('daemon', () => {
  it('opens before it releases, closes after the BYE is answered, kills states, and says so', async () => {
    const daemon = start();
    await daemon.said(isRunning);
    await pass(daemon.directory, invite('one'), answer('one', 4000));
    assert.deepEqual(daemon.log(), ['release', 'commit +[4000] -[]', 'release']);
    await pass(daemon.directory, bye('one'), byeDone('one'));
    await until(() => daemon.log().includes('kill [4000]'));
    assert.deepEqual(daemon.log().slice(3), ['release', 'commit +[] -[4000]', 'release', 'kill [4000]']);
    assert.deepEqual(daemon.rules(), []);
    // The line tells what the states had passed that were killed.
    await daemon.said(/closed audio/);
    assert.match(
      daemon.stderr(),
      /call [0-9a-f]{16}: opened audio udp 10\.0\.0\.5:4000-4001 from 192\.0\.2\.1\n/,
    );
    await daemon.said(
      /call [0-9a-f]{16}: closed audio udp 10\.0\.0\.5:4000-4001: bye, not counted, \d+\.\d s\n/,
    );
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
  });

  it('removes everything on SIGTERM', async () => {
    const daemon = start();
    await daemon.said(isRunning);
    await pass(daemon.directory, invite('one'), answer('one', 4000));
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
    assert.deepEqual(daemon.rules(), []);
    const log = daemon.log();
    assert.deepEqual(
      log.slice(log.indexOf('clear')),
      ['clear', 'kill [4000]'],
      'rules first, then their states',
    );
    const next = start({ directory: daemon.directory });
    await next.said(/: 0 calls with 0 pinholes taken up/);
    next.child.kill('SIGKILL');
  });

  it('keeps everything on SIGTERM with --keep, and takes it up again', async () => {
    const daemon = start({ flags: ['--keep'] });
    await daemon.said(isRunning);
    await pass(daemon.directory, invite('one'), answer('one', 4000));
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
    assert.deepEqual(daemon.rules(), [4000]);
    const next = start({ directory: daemon.directory });
    await next.said(/: 1 calls with 1 pinholes taken up, 0 other rules removed/);
    assert.equal(next.log().filter((line) => line.startsWith('commit')).length, 1, 'no rule was touched');
    await pass(next.directory, bye('one'), byeDone('one'));
    assert.deepEqual(next.rules(), []);
    next.child.kill('SIGKILL');
  });

  it('takes up its calls after kill -9, closes rules that nobody wants, and a BYE still closes', async () => {
    const daemon = start({ flags: ['--supervise'] });
    await daemon.said(isRunning);
    await pass(daemon.directory, invite('one'), answer('one', 4000));
    await until(() => journalText(daemon.directory).includes('4000'));
    const pid = Number(/pid (\d+)/.exec(daemon.stderr())![1]);
    const rules = JSON.parse(readFileSync(join(daemon.directory, 'rules'), 'utf8')) as Pinhole[];
    const stranger = {
      ...rules[0]!,
      id: 'stranger',
      ports: [9000, 9001],
      label: 'pinholed:ffffffffffffffff:0',
    };
    writeFileSync(join(daemon.directory, 'rules'), JSON.stringify([...rules, stranger]));
    process.kill(pid, 'SIGKILL');
    await daemon.said(/: 1 calls with 1 pinholes taken up, 1 other rules removed/);
    assert.match(daemon.stderr(), /supervisor: the data path ended \(SIGKILL\): starting it again/);
    assert.deepEqual(daemon.rules(), [4000]);
    await until(() => daemon.log().includes('kill [9000]'));
    await pass(daemon.directory, bye('one'), byeDone('one'));
    assert.deepEqual(daemon.rules(), []);
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
  });

  it('is restarted when its loop hangs, with the fail-open rules out of the way meanwhile', async () => {
    const daemon = start({
      flags: ['--supervise'],
      config: 'fail: open\nfreebsd: { inside-interfaces: [em1] }',
    });
    await daemon.said(isRunning);
    await until(() => daemon.log().includes('fail-open install'));
    send(daemon.directory, 'hang');
    await daemon.said(/no heartbeat for \d+ ms: killing the data path/);
    await daemon.said(isRunningAgain);
    await until(() => daemon.log().filter((line) => line === 'fail-open install').length === 2);
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
    assert.deepEqual(
      daemon.log().filter((line) => line.startsWith('fail-open')),
      ['remove', 'install', 'remove', 'install', 'remove'].map((word) => `fail-open ${word}`),
    );
  });

  it('is restarted when its interceptor fails', async () => {
    const daemon = start({ flags: ['--supervise'] });
    await daemon.said(isRunning);
    send(daemon.directory, 'gone');
    await daemon.said(/the data path failed: the socket is gone/);
    await daemon.said(isRunningAgain);
    await pass(daemon.directory, invite('one'), answer('one', 4000));
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
  });

  it('serves on when its supervisor is killed, until the next one takes its place', async () => {
    const daemon = start({ flags: ['--supervise', 'run'] });
    await daemon.said(isRunning);
    const pid = Number(/pid (\d+)/.exec(daemon.stderr())![1]);
    daemon.child.kill('SIGKILL');
    await until(() => daemon.stderr().includes('the supervisor is gone: serving on without it'));
    await pass(daemon.directory, invite('one'), answer('one', 4000));
    await until(() => journalText(daemon.directory).includes('4000'));
    const next = start({ flags: ['--supervise', 'run'], directory: daemon.directory });
    await next.said(/: 1 calls with 1 pinholes taken up/);
    assert.match(next.stderr(), new RegExp(`ended the data path of a killed supervisor, pid ${pid}`));
    assert.deepEqual(daemon.rules(), [4000]);
    await pass(next.directory, bye('one'), byeDone('one'));
    next.child.kill('SIGTERM');
    assert.equal(await next.exit, 0);
    assert.deepEqual(
      readdirSync(daemon.directory).filter((name) => name.startsWith('pid')),
      [],
    );
  });

  it('reads its configuration again on SIGHUP, and no call is dropped', async () => {
    const daemon = start({ flags: ['--supervise'] });
    await daemon.said(isRunning);
    await pass(daemon.directory, invite('one'), answer('one', 4000));
    const file = join(daemon.directory, 'config');
    writeFileSync(
      file,
      configText(
        daemon.directory,
        'denied-ports: [5000, 5060, 5070]\nlog: { level: debug }\nsip-ports: [5070]',
      ),
    );
    daemon.child.kill('SIGHUP');
    await daemon.said(/configuration read again: 3 changes/);
    assert.match(daemon.stderr(), /sip-ports: \[5060\] to \[5070\] takes effect at a restart only/);
    assert.deepEqual(daemon.rules(), [4000]);
    await pass(daemon.directory, invite('two'), answer('two', 5000));
    assert.deepEqual(daemon.rules(), [4000]);
    await daemon.said(/warn .*refused \(denied-port\)/);
    await pass(daemon.directory, bye('one'), byeDone('one'));
    assert.deepEqual(daemon.rules(), []);
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
  });

  it('keeps its configuration when the new one has problems, and names each', async () => {
    const daemon = start();
    await daemon.said(isRunning);
    const file = join(daemon.directory, 'config');
    writeFileSync(file, 'strict: perhaps\ninside: [300.1.1.1]\n');
    daemon.child.kill('SIGHUP');
    await daemon.said(/the configuration stays as it was/);
    assert.match(daemon.stderr(), /config:1:9: strict: expected true or false/);
    assert.match(daemon.stderr(), /config:2:\d+: inside\[0\]/);
    await pass(daemon.directory, invite('one'), answer('one', 4000));
    assert.deepEqual(daemon.rules(), [4000]);
    daemon.child.kill('SIGKILL');
  });

  it('is restarted with the configuration of before when the file was broken meanwhile', async () => {
    const daemon = start({ flags: ['--supervise'], config: 'denied-ports: [5000, 5060]' });
    await daemon.said(isRunning);
    const file = join(daemon.directory, 'config');
    writeFileSync(file, configText(daemon.directory, 'denied-ports: [5002, 5060]'));
    daemon.child.kill('SIGHUP');
    await daemon.said(/configuration read again: 1 changes/);
    writeFileSync(file, 'strict: perhaps\n');
    process.kill(Number(/pid (\d+)/.exec(daemon.stderr())![1]), 'SIGKILL');
    await daemon.said(isRunningAgain);
    assert.match(daemon.stderr(), /config:1:9: strict: expected true or false/);
    await pass(daemon.directory, invite('one'), answer('one', 5002), invite('two'), answer('two', 5000));
    assert.deepEqual(daemon.rules(), [5000]);
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
  });

  it('tells its status on SIGUSR1', async () => {
    const daemon = start({ flags: ['--supervise'] });
    await daemon.said(isRunning);
    await pass(daemon.directory, invite('one'), answer('one', 4000));
    daemon.child.kill('SIGUSR1');
    await daemon.said(
      /status: 1 calls, 1 pinholes \(0 missing\); packets 2 received, 2 released, .*doubles 1/,
    );
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
  });

  it('writes where its supervisor is found, and only once', async () => {
    const daemon = start({ flags: ['--supervise', 'run'] });
    await daemon.said(isRunning);
    const pid = join(daemon.directory, 'pid');
    assert.equal(readFileSync(pid, 'utf8'), `${daemon.child.pid}\n`);
    const second = start({ flags: ['--supervise', 'run'], directory: daemon.directory });
    assert.equal(await second.exit, 1);
    assert.match(second.stderr(), new RegExp(`pinholed runs already, with process id ${daemon.child.pid}`));
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
    assert.equal(existsSync(pid), false);
  });

  it('does not start on a taken port, and the supervisor does not insist', async () => {
    const daemon = start();
    await daemon.said(isRunning);
    const second = start({
      flags: ['--supervise'],
      directory: daemon.directory,
    });
    assert.notEqual(await second.exit, 0);
    assert.match(second.stderr(), /port \d+ is taken \(EADDRINUSE\)/);
    assert.match(second.stderr(), /the first start failed: not trying again/);
    daemon.child.kill('SIGKILL');
  });

  it('appends to a log file, and opens it anew on SIGHUP', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pinholed-daemon-'));
    directories.push(directory);
    const file = join(directory, 'pinholed.log');
    const daemon = start({ directory, config: `log: { destination: ${file}, format: json }` });
    await until(() => lines(file).some((line) => isRunning.test(line)));
    assert.equal(statSync(file).mode & 0o777, 0o640);
    rmSync(file);
    daemon.child.kill('SIGHUP');
    await until(() => lines(file).some((line) => line.includes('configuration read again')));
    for (const line of lines(file)) assert.equal(typeof (JSON.parse(line) as { msg: string }).msg, 'string');
    daemon.child.kill('SIGKILL');
  });
});

describe('daemon started as root', { skip: process.geteuid?.() === 0 ? false : 'needs root' }, () => {
  for (const opener of ['root', 'network-administrator'] as const) {
    it(`reads packets as its user when ${opener} opens the data path`, async () => {
      const directory = mkdtempSync(join(tmpdir(), 'pinholed-daemon-'));
      directories.push(directory);
      if (opener === 'root') writeFileSync(join(directory, 'opened-as-root'), '');
      writeFileSync(join(directory, 'log'), '');
      chmodSync(join(directory, 'log'), 0o666);
      const daemon = start({ directory, flags: ['--drop'] });
      await daemon.said(isRunning);
      const threads = readdirSync(`/proc/${daemon.child.pid}/task`).map((thread) =>
        readFileSync(`/proc/${daemon.child.pid}/task/${thread}/status`, 'utf8'),
      );
      assert.ok(threads.length > 2);
      const NET_ADMIN = 1n << 12n;
      for (const status of threads) {
        assert.match(status, /^Uid:\t65534\t65534\t65534\t65534$/m);
        assert.match(status, /^Gid:\t65534\t65534\t65534\t65534$/m);
        assert.match(status, /^Groups:\t *$/m);
        for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb']) {
          const capabilities = BigInt(`0x${new RegExp(`^${set}:\t(.*)$`, 'm').exec(status)![1]}`);
          assert.equal(capabilities & ~NET_ADMIN, 0n, `${set} ${capabilities.toString(16)}`);
        }
      }
      const able = threads.filter((status) => /^CapEff:\t0000000000001000$/m.test(status));
      assert.ok(opener === 'root' || able.length >= 2, 'control thread and data path');
      assert.equal(statSync(join(directory, 'state/journal')).uid, 65534);
      assert.equal(statSync(join(directory, 'state')).mode & 0o777, 0o700);
      await pass(directory, invite('one'), answer('one', 4000));
      assert.deepEqual(daemon.rules(), [4000]);
      daemon.child.kill('SIGTERM');
      assert.equal(await daemon.exit, 0);
    });
  }
});

describe('what a supervisor started as root leaves its data path', {
  skip: process.geteuid?.() === 0 && process.platform === 'linux' ? false : 'needs root on Linux',
}, () => {
  it('no thread may gain anything by a program it runs, and the shell of root is nobody’s business', async () => {
    const daemon = start({
      flags: ['--supervise', '--drop'],
      env: { SECRET_OF_ROOT: 'hunter2', LC_TIME: 'C' },
    });
    await daemon.said(isRunning);
    const pid = readFileSync(join(daemon.directory, 'pid.child'), 'utf8').trim();
    const threads = readdirSync(`/proc/${pid}/task`).map((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8'),
    );
    const field = (status: string, name: string) => new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)![1]!;
    // linux/capability.h; what a start as root needs, without which no thread can be root again.
    const [CAP_SYS_PTRACE, CAP_SYS_MODULE, CAP_SYS_ADMIN] = [19n, 16n, 21n];
    for (const status of threads) {
      assert.equal(field(status, 'NoNewPrivs'), '1');
      assert.equal(BigInt(`0x${field(status, 'CapInh')}`), 0n);
      const bounding = BigInt(`0x${field(status, 'CapBnd')}`);
      for (const capability of [CAP_SYS_PTRACE, CAP_SYS_MODULE, CAP_SYS_ADMIN]) {
        assert.equal(bounding & (1n << capability), 0n, bounding.toString(16));
      }
    }
    const able = threads.filter((status) => BigInt(`0x${field(status, 'CapEff')}`) !== 0n);
    assert.ok(able.length >= 2, 'control thread and data path');
    for (const status of able) assert.equal(BigInt(`0x${field(status, 'CapBnd')}`), 0n);
    const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
    assert.doesNotMatch(environment, /SECRET_OF_ROOT|hunter2/);
    assert.match(environment, /LC_TIME=C/);
    daemon.child.kill('SIGTERM');
    assert.equal(await daemon.exit, 0);
  });
});

function journalText(directory: string): string {
  return ['journal', 'journal.1']
    .map((name) => readFileSync(join(directory, 'state', name), 'latin1'))
    .join('\n');
}
