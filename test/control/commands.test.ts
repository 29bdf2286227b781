import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { chmodSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { REFUSALS } from '../../src/call/refusal.ts';
import type { StatusResult } from '../../src/control/protocol.ts';
import { udpPacket } from '../packets.ts';
import { type Host, host, sdp, sip } from '../scene.ts';
import { scratch, until } from './socket.ts';

const program = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const alice = host('192.0.2.1');
const bob = host('10.0.0.5');
const withoutTmux = spawnSync('tmux', ['-V']).status === 0 ? false : 'needs tmux';
const withoutRoot = process.geteuid?.() === 0 ? false : 'needs root';
const withoutMounts =
  withoutRoot || (spawnSync('unshare', ['--mount', 'true']).status === 0 ? false : 'needs mount namespaces');

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface Daemon {
  readonly directory: string;
  readonly child: ChildProcess;
  readonly stderr: () => string;
  /** Runs a command against it. */
  run(...words: string[]): Promise<Ran>;
  send(from: Host, to: Host, text: string): Promise<void>;
  stop(): Promise<void>;
}

function runCommand(words: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const ran = { stdout: '', stderr: '' };
    const child = spawn(process.execPath, ['--import', 'tsx', program, ...words]);
    child.stdout.on('data', (chunk) => {
      ran.stdout += chunk;
    });
    child.stderr.on('data', (chunk) => {
      ran.stderr += chunk;
    });
    child.on('close', (status) => resolve({ status, ...ran }));
  });
}

interface StartOptions {
  readonly user?: string;
  /** `control.group` */
  readonly group?: string;
  /** A command that starts it. */
  readonly launcher?: readonly string[];
}

/** The daemon over the platform made of files, with its control socket. */
async function start({ user, group = 'off', launcher = [] }: StartOptions = {}): Promise<Daemon> {
  const { path: directory, remove } = scratch();
  const file = join(directory, 'config');
  const files = join(directory, 'files');
  mkdirSync(files);
  chmodSync(files, 0o777);
  const lines = [
    'inside: [10.0.0.0/8]',
    'daemon: { pid-file: off, journal: off, user: nobody, group: nogroup }',
    `control: { socket: ${join(directory, 'sock')}, group: ${group} }`,
    'timers: { drain: 0, no-audio: 0 }',
  ];
  writeFileSync(file, lines.join('\n'));
  const process_ = fileURLToPath(new URL('./process.ts', import.meta.url));
  const own = [process.execPath, '--import', 'tsx', process_, file, ...(user === undefined ? [] : [user])];
  const [command = '', ...words] = [...launcher, ...own];
  const child = spawn(command, words, {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...process.env, PINHOLED_TEST_DIRECTORY: files },
  });
  let stderr = '';
  child.stderr!.on('data', (chunk) => {
    stderr += chunk;
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await until(() => /pinholes taken up/.test(stderr) || child.exitCode !== null);
  assert.equal(child.exitCode, null, stderr);
  const wire = createSocket('udp4');
  const back = new Promise<void>((resolve) => wire.once('listening', resolve));
  wire.bind(0, '127.0.0.1');
  await back;
  const port = Number(readFileSync(join(files, 'port'), 'utf8'));

  return {
    directory,
    child,
    stderr: () => stderr,
    run: (...args) => runCommand([...args, '--socket', join(directory, 'sock')]),
    async send(from, to, text) {
      const released = new Promise<void>((resolve) => wire.once('message', () => resolve()));
      wire.send(udpPacket(from, to, text), port, '127.0.0.1');
      await released;
    },
    async stop() {
      wire.close();
      child.kill('SIGTERM');
      await exited;
      remove();
    },
  };
}

async function establish(daemon: Daemon, callId: string, port: number): Promise<void> {
  await daemon.send(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [6000]) }));
  await daemon.send(bob, alice, sip('200 INVITE', { callId, to: 'b', body: sdp(bob.address, [port]) }));
  await daemon.send(alice, bob, sip('ACK', { callId, to: 'b' }));
}

describe('commands', () => {
  let daemon: Daemon;
  before(async () => {
    daemon = await start();
    await establish(daemon, 'one@pbx', 4000);
    await establish(daemon, 'two@pbx', 4002);
    await daemon.send(alice, bob, sip('BYE', { callId: 'two@pbx', to: 'b', cseq: 2 }));
    await daemon.send(bob, alice, sip('200 BYE', { callId: 'two@pbx', to: 'b', cseq: 2 }));
    // The history is told a little later.
    while (!/end +bye after/.test((await daemon.run('explain', 'two@pbx')).stdout));
  });
  after(() => daemon.stop());

  it('status, in words and as the same JSON', async () => {
    const words = await daemon.run('status');
    assert.equal(words.status, 0, words.stderr);
    assert.match(words.stdout, /^calls +1 now, 2 since the start$/m);
    assert.match(words.stdout, /^bytes modified +0 \(of \d+ packets? compared\)$/m);
    const json = JSON.parse((await daemon.run('status', '--json')).stdout) as StatusResult;
    assert.deepEqual([json.calls, json.callsStarted, json.bytesModified], [1, 2, 0]);
    assert.equal(json.pid, daemon.child.pid);
    const [platform, priority, ...more] = json.description;
    assert.deepEqual([platform, more], ['made of files', []]);
    assert.match(priority!, /^packet thread: /);
  });

  it('calls, one of them in full', async () => {
    assert.match(
      (await daemon.run('calls')).stdout,
      /^\w{16} +confirmed .* one@pbx\n\w{16} +ended \(bye\) .* two@pbx$/m,
    );
    const full = (await daemon.run('calls', '-v', '--call', 'one@pbx')).stdout;
    assert.match(full, /udp 10\.0\.0\.5:4000-4001 from 192\.0\.2\.1/);
    const { calls } = JSON.parse((await daemon.run('calls', '--json')).stdout);
    assert.deepEqual(
      calls.map((call: { callId: string }) => call.callId),
      ['one@pbx', 'two@pbx'],
    );
  });

  it('pinholes, stats, exposure and top', async () => {
    assert.match(
      (await daemon.run('pinholes')).stdout,
      /^udp +10\.0\.0\.5:4000-4001 +192\.0\.2\.1 +audio rtp\+rtcp/m,
    );
    assert.match((await daemon.run('stats')).stdout, /^INVITE +4$/m);
    assert.match((await daemon.run('exposure', '--range', '16384-32767')).stdout, /STATIC RULE 16384-32767/);
    const top = (await daemon.run('top')).stdout;
    assert.match(top, /1 call, 1 pinhole, /);
    assert.match(top, /sorted by age\n/);
    assert.match(top, /one@pbx$/m);
  });

  it('explain, of a call under way and of one that is over', async () => {
    const one = (await daemon.run('explain', 'one@pbx')).stdout;
    assert.match(one, /state +confirmed now/);
    assert.match(one, /#1 {2}A --> B {2}INVITE[\s\S]*#2 {2}A <-- B {2}200 Reason[\s\S]*#3 {2}A --> B {2}ACK/);
    assert.match(one, /udp to 10\.0\.0\.5:4000-4001 from 192\.0\.2\.1/);
    const two = (await daemon.run('explain', 'two@pbx')).stdout;
    assert.match(two, /end +bye after/);
    assert.match(two, /\+\d\.\d{3} \(#5\) to \+\d\.\d{3} \(#8 bye\)/);
    const { calls } = JSON.parse((await daemon.run('explain', 'two@pbx', '--json')).stdout);
    assert.deepEqual(
      calls[0].messages.map(({ summary }: { summary: string }) => summary),
      ['INVITE', '200 Reason', 'ACK', 'BYE', '200 Reason (BYE)'],
    );
    const html = (await daemon.run('explain', 'two@pbx', '--html')).stdout;
    assert.match(html, /^<!doctype html>[\s\S]*<title>two@pbx – pinholed<\/title>[\s\S]*<\/html>\n$/);
    // The pictures of up to 64 legs are one block.
    assert.match(html, /<script type="application\/json" id="calls-0">\{"count":1,/);
  });

  it('learn: the least configuration of the calls that the daemon remembers', async () => {
    const { status, stdout, stderr } = await daemon.run('learn', '--json');
    assert.deepEqual([status, stderr], [0, '']);
    const { lines, calls, withMedia, losing } = JSON.parse(stdout);
    assert.deepEqual(
      lines.map(({ key, value }: Record<string, unknown>) => [key, value]),
      [
        ['inside', '10.0.0.5'],
        ['peers', '192.0.2.1'],
        ['media-ports', '4000-4003'],
      ],
    );
    assert.deepEqual([calls, withMedia, losing], [2, 2, []]);
    const later = await daemon.run('learn', '--since', '2100-01-01');
    assert.equal(later.status, 0);
    assert.match(later.stdout, /learned from the running daemon: 1 call, 1 of them with media/);
    const both = await daemon.run('learn', '--since', '1d', 'pcaps/basic-call.pcap');
    assert.deepEqual([both.status, both.stderr], [1, 'pinholed: expected --since or captures, found both\n']);
  });

  it('reload --dry-run: which calls would have lost audio, and which settings it cannot try', async () => {
    const file = join(daemon.directory, 'new.yaml');
    writeFileSync(
      file,
      'inside: [10.0.0.0/8]\nmedia-ports: [4000-4001]\ntimers: { ringing: 1m, drain: 0, no-audio: 0 }\n',
    );
    const less = await daemon.run('reload', '--dry-run', file);
    assert.equal(less.status, 2, less.stderr);
    assert.match(
      less.stdout,
      /^1 of 2 calls would have lost audio:\n.* two@pbx, .*\n {4}audio at 10\.0\.0\.5:4002-4003: port-out-of-range/m,
    );
    assert.match(less.stdout, /^1 of 2 calls as before\.\nNot tried on these calls: timers\.ringing\./m);
    assert.match(less.stdout, /^media-ports: \["1024-65535"\] to \["4000-4001"\]$/m);
    writeFileSync(file, 'inside: [10.0.0.0/8]\n');
    const same = JSON.parse((await daemon.run('reload', '--dry-run', file, '--json')).stdout);
    assert.deepEqual(
      [same.calls, same.opened, same.losing, same.gaining, same.otherwise],
      [2, 2, [], [], []],
    );
    writeFileSync(file, 'insid: [10.0.0.0/8]\n');
    const wrong = await daemon.run('reload', '--dry-run', file);
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /unknown key, did you mean inside\?/);
  });

  it('explain --pcap, into a file that was not there before', async () => {
    const file = join(daemon.directory, 'two.pcap');
    const written = await daemon.run('explain', 'two@pbx', '--pcap', file);
    assert.deepEqual([written.status, written.stdout], [0, ''], written.stderr);
    assert.equal(written.stderr, `5 messages written to ${file}\n`);
    const capture = readFileSync(file);
    assert.equal(lstatSync(file).mode & 0o777, 0o600);
    const replayed = await runCommand(['replay', file, '--json']);
    assert.deepEqual(
      JSON.parse(replayed.stdout).calls[0].messages.map(({ summary }: { summary: string }) => summary),
      ['INVITE', '200 Reason', 'ACK', 'BYE', '200 Reason (BYE)'],
    );
    const again = await daemon.run('explain', 'two@pbx', '--pcap', file);
    assert.deepEqual(
      [again.status, again.stderr],
      [1, `pinholed: ${file}: it is there already, and nothing is written over\n`],
    );
    assert.deepEqual(readFileSync(file), capture);
    const none = await daemon.run('explain', 'none@pbx', '--pcap', `${file}.none`);
    assert.match(none.stderr, /^pinholed: there is no call "none@pbx".*daemon\.recording/);
    assert.equal(none.status, 1);
  });

  it('say what is not there, and with what status', async () => {
    const forgotten = await daemon.run('explain', 'abc');
    assert.equal(
      forgotten.stderr,
      'pinholed: there is no call "abc" (of the name of a leg, give 4 digits at least); ' +
        'the last 1000 that ended are remembered (caps.history)\n',
    );
    for (const name of ['calls --call', 'close']) {
      const { status, stderr } = await daemon.run(...name.split(' '), 'nobody@nowhere');
      assert.deepEqual([status, stderr], [1, 'pinholed: there is no call "nobody@nowhere"\n'], name);
    }
    const nothing = await runCommand(['status', '--socket', join(daemon.directory, 'none')]);
    assert.equal(nothing.status, 3);
    assert.match(
      nothing.stderr,
      /^pinholed: the daemon is not running \(.*none: there is no such socket\)\n$/,
    );
  });

  it('refused: who got no pinhole, why, and what to do', async () => {
    assert.match((await daemon.run('refused')).stdout, /^Nothing was refused/);
    const callId = 'foreign@pbx';
    await daemon.send(bob, alice, sip('INVITE', { callId, body: sdp('198.51.100.9', [4010]) }));
    let found: { readonly refused: readonly Record<string, unknown>[] } = { refused: [] };
    while (found.refused.length === 0) {
      found = JSON.parse((await daemon.run('refused', '--json')).stdout);
    }
    const [{ reason, parties, advice }] = found.refused as [Record<string, unknown>];
    assert.deepEqual(
      { reason, parties, advice, callId: found.refused[0]!['callId'] },
      {
        reason: 'foreign-address',
        parties: [bob.address, alice.address],
        advice: REFUSALS['foreign-address'].advice,
        callId,
      },
    );
    const words = (await daemon.run('refused')).stdout;
    assert.match(words, /\w{16} +10\.0\.0\.5 -> 192\.0\.2\.1 +foreign-address +\S/);
    assert.equal((await daemon.run('refused', '--limit', '0')).status, 1);
    await daemon.run('close', callId);
  });

  it('refused: also what was counted in no call', async () => {
    await daemon.send(bob, alice, 'INVITE sip:b@x SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n');
    let counted: Record<string, number> = {};
    while (Object.keys(counted).length === 0) {
      counted = JSON.parse((await daemon.run('refused', '--json')).stdout).others;
    }
    const [reason] = Object.keys(counted) as ['malformed-sip'];
    assert.deepEqual(counted, { 'malformed-sip': 1 });
    const words = (await daemon.run('refused')).stdout;
    assert.match(words, /no call or to one that is not listed:\nREASON +TIMES\nmalformed-sip +1\n/);
    assert.ok(words.includes(`${reason}: ${REFUSALS[reason].means}\n  ${REFUSALS[reason].advice}`));
  });

  it('ask beside a configuration that was broken since the start, and say so', async () => {
    const file = join(daemon.directory, 'broken');
    const whole = readFileSync(join(daemon.directory, 'config'), 'utf8');
    writeFileSync(file, `${whole}\nringing: soon\n`);
    const { status, stdout, stderr } = await runCommand(['status', '--config', file]);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^calls +1 now/m);
    assert.match(stderr, /broken:\d+:1: ringing: /);
    const missing = await runCommand(['status', '--config', `${file}.none`]);
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /there is no such file/);
  });

  it('close and flush', async () => {
    await establish(daemon, 'three@pbx', 4004);
    await establish(daemon, 'four@pbx', 4006);
    assert.match((await daemon.run('close', 'three@pbx')).stdout, /^closed \w{16}\n$/);
    assert.match((await daemon.run('calls', '--call', 'three@pbx')).stdout, /ended \(administrator\)/);
    assert.equal((await daemon.run('flush')).stdout, 'closed 2 of 2 calls\n');
    assert.equal((await daemon.run('pinholes')).stdout, 'No pinholes.\n');
    assert.equal(readFileSync(join(daemon.directory, 'files', 'rules'), 'utf8'), '[]');
    assert.match(daemon.stderr(), /control: user 0 closed leg [\s\S]*control: user 0 closes all 2 calls/);
  });

  it('status says what is wrong by its status, too', async () => {
    writeFileSync(join(daemon.directory, 'files', 'refuse'), '');
    await establish(daemon, 'five@pbx', 4008);
    const { status, stdout } = await daemon.run('status');
    assert.equal(status, 2);
    assert.match(stdout, /^pinholes +1 open, 1 missing$/m);
    assert.match(stdout, /^ALARM {2}1 pinhole is wanted and not open/m);
  });
});

describe('the socket of a daemon that gave up root', { skip: withoutRoot }, () => {
  it('was made before, and admits the group of the settings', async () => {
    const daemon = await start({ user: 'nobody' });
    try {
      const { uid, mode } = lstatSync(join(daemon.directory, 'sock'));
      assert.deepEqual([uid, mode & 0o777], [0, 0o600]);
      const json = JSON.parse((await daemon.run('status', '--json')).stdout) as StatusResult;
      assert.equal(json.user, 'nobody');
    } finally {
      await daemon.stop();
    }
  });
});

describe('the group of the socket', { skip: withoutMounts }, () => {
  const watcher = { uid: 4242, gid: 4242 };
  const { path: databases, remove } = scratch();
  let daemon: Daemon;

  function writeGroups(members: string): void {
    writeFileSync(join(databases, 'group'), `nogroup:x:65534:\nwatchers:x:4343:${members}\nothers:x:4344:\n`);
  }

  /** What the user is answered. */
  function answerTo({ uid, gid }: typeof watcher): string {
    const client = `
      const socket = require('node:net').connect(process.argv[1]);
      socket.write('{"request":"stats"}\\n');
      socket.on('data', (data) => process.stdout.write(data) && /"ok"/.test(data) && process.exit());`;
    const words = ['-e', client, join(daemon.directory, 'sock')];
    return spawnSync(process.execPath, words, { uid, gid, encoding: 'utf8' }).stdout;
  }

  before(async () => {
    const users = `nobody:x:65534:65534::/:/\nwatcher:x:${watcher.uid}:${watcher.gid}::/:/\n`;
    writeFileSync(join(databases, 'passwd'), users);
    writeGroups('');
    const mounts = ['passwd', 'group'].map((name) => `mount --bind ${join(databases, name)} /etc/${name}`);
    const launcher = ['unshare', '--mount', 'sh', '-ec', [...mounts, 'exec "$@"'].join('\n'), 'sh'];
    daemon = await start({ group: 'watchers', launcher });
    chmodSync(join(daemon.directory, 'sock'), 0o666);
  });
  after(async () => {
    await daemon?.stop();
    remove();
  });

  it('has the members that it has at a reload; another group needs a restart', async () => {
    assert.match(answerTo(watcher), /"forbidden"/);
    writeGroups('watcher');
    assert.match(answerTo(watcher), /"forbidden"/);
    const file = join(daemon.directory, 'config');
    writeFileSync(file, readFileSync(file, 'utf8').replace('group: watchers', 'group: others'));
    daemon.child.kill('SIGHUP');
    await until(() => /configuration read again/.test(daemon.stderr()));
    assert.match(daemon.stderr(), /control\.group: watchers to others takes effect at a restart only/);
    assert.match(answerTo(watcher), /"ok":true/);
  });
});

describe('pinholed top in a terminal', { skip: withoutTmux }, () => {
  let daemon: Daemon;
  let session: string;
  const tmux = (...words: string[]) =>
    execFileSync('tmux', ['-L', session, '-f', '/dev/null', ...words], { encoding: 'utf8' });
  const shown = () => tmux('capture-pane', '-p', '-t', 'main');
  const lines = () => shown().trimEnd().split('\n');

  before(async () => {
    daemon = await start();
    session = `pinholed-${process.pid}`;
    for (const [index, name] of ['alpha', 'beta', 'gamma'].entries()) {
      await establish(daemon, `${name}@pbx`, 4000 + 2 * index);
    }
    const rules = JSON.parse(readFileSync(join(daemon.directory, 'files', 'rules'), 'utf8')) as {
      id: string;
    }[];
    const counts = rules.map(({ id }, index) => [id, { packets: [100, 900, 500][index], bytes: 1 }]);
    writeFileSync(join(daemon.directory, 'files', 'traffic'), JSON.stringify(counts));
    const command = `${process.execPath} --import tsx ${program} top --socket ${join(daemon.directory, 'sock')}`;
    tmux(
      'new-session',
      '-d',
      '-s',
      'main',
      '-x',
      '150',
      '-y',
      '20',
      `${command}; echo left $?; exec sleep 60`,
    );
    await until(() => /pinholed up/.test(shown()));
  });
  after(async () => {
    tmux('kill-server');
    await daemon.stop();
  });

  const order = () => [...shown().matchAll(/(\w+)@pbx/g)].map(([, name]) => name);

  it('shows the calls, the oldest first', () => {
    assert.match(lines()[0]!, /^pinholed up \S+: 3 calls, 3 pinholes, 9 packets$/);
    assert.match(lines()[2]!, /^sorted by age/);
    assert.deepEqual(order(), ['alpha', 'beta', 'gamma']);
  });

  it('sorts by packets on p, by idle time on i, by age on a', async () => {
    tmux('send-keys', '-t', 'main', 'p');
    await until(() => /sorted by packets/.test(shown()) && order().join() === 'beta,gamma,alpha');
    tmux('send-keys', '-t', 'main', 'i');
    await until(() => /sorted by idle/.test(shown()));
    tmux('send-keys', '-t', 'main', 'a');
    await until(() => /sorted by age/.test(shown()) && order().join() === 'alpha,beta,gamma');
  });

  it('opens the call that is selected on Enter, and comes back', async () => {
    tmux('send-keys', '-t', 'main', 'j');
    tmux('send-keys', '-t', 'main', 'Enter');
    await until(() => /^Call beta@pbx$/m.test(shown()) && /INVITE/.test(shown()));
    assert.match(lines().at(-1)!, /^j, k, Space, b scroll; Esc or q back to the calls/);
    tmux('send-keys', '-t', 'main', 'Escape');
    tmux('send-keys', '-t', 'main', 'k');
    await until(() => order().join() === 'alpha,beta,gamma');
  });

  it('shows what is new by itself', async () => {
    await establish(daemon, 'delta@pbx', 4006);
    await until(() => order().join() === 'alpha,beta,gamma,delta');
    assert.match(lines()[0]!, /4 calls, 4 pinholes/);
  });

  it('follows the size of the terminal', async () => {
    tmux('resize-window', '-t', 'main', '-x', '60', '-y', '7');
    await until(() => /^3 more/m.test(shown()));
    assert.ok(lines().length <= 7);
    assert.ok(lines().every((line) => line.length <= 60));
    tmux('resize-window', '-t', 'main', '-x', '150', '-y', '20');
    await until(() => order().length === 4);
  });

  it('gives the terminal back on q', async () => {
    tmux('send-keys', '-t', 'main', 'q');
    await until(() => /^left 0$/m.test(shown()));
    assert.doesNotMatch(shown(), /pinholed up/);
    assert.equal(tmux('display-message', '-p', '-t', 'main', '#{cursor_flag} #{alternate_on}').trim(), '1 0');
  });
});
