import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseNetwork } from '../../src/address/network.ts';
import { atHome } from '../../src/commands/captures.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const basic = join(root, 'pcaps/basic-call.pcap');
const early = join(root, 'pcaps/early-media.pcap');
const scratch = mkdtempSync(join(tmpdir(), 'pinholed-replay-'));
after(() => rmSync(scratch, { recursive: true }));

function run(...args: string[]) {
  const command = ['--import', 'tsx', 'src/main.ts', 'replay', ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
  return { status, stdout, stderr };
}

function json(...args: string[]) {
  const { status, stdout, stderr } = run('--json', ...args);
  assert.deepEqual([status, stderr], [0, '']);
  return JSON.parse(stdout);
}

describe('pinholed replay', () => {
  it('tells of the call in text', () => {
    const { status, stdout, stderr } = run(basic);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /Call basic-call-1@192\.0\.2\.10/);
    assert.match(stdout, /A --> B {2}INVITE {2}audio 192\.0\.2\.10:49170 rtcp 49171/);
    assert.match(stdout, /100 passed/);
  });

  it('ends with 2 and names the link type where nothing could be read', () => {
    const bytes = readFileSync(basic);
    bytes.writeUInt32LE(127, 20);
    const file = join(scratch, 'radio.pcap');
    writeFileSync(file, bytes);
    const { status, stdout, stderr } = run(file);
    assert.equal(status, 2);
    assert.match(stderr, /nothing could be read: .*link type 127 \(IEEE802_11_RADIOTAP\)/);
    assert.match(stdout, /link type 127/);
  });

  it('numbers frames by file where there are several, merged by time', () => {
    const { files, calls, frames } = json(early, basic);
    assert.deepEqual(files, [early, basic]);
    assert.equal(frames, 177 + 214);
    const [first, second] = calls;
    assert.ok(first.startedAt <= second.startedAt);
    const byId = new Map([first, second].map((call) => [call.callId, call.messages[0]]));
    assert.deepEqual(byId.get('early-media-1@192.0.2.10').file, 0);
    assert.deepEqual(byId.get('basic-call-1@192.0.2.10').file, 1);
    assert.equal(first.pinholes[0].openedFile, first.messages[0].file);
  });

  it('opens towards networks inside alone', () => {
    const { calls, media, inside } = json('--inside', '198.51.100.0/24', '--inside', '203.0.113.0/24', basic);
    assert.deepEqual(inside, ['198.51.100.0/24', '203.0.113.0/24']);
    const addresses = calls[0].pinholes.map((one: { address: string }) => one.address);
    assert.deepEqual(addresses, ['198.51.100.20']);
    assert.ok(media.every((flow: { blocked: number }) => flow.blocked === 0));
  });

  const announced = join(root, '../shared/cases/nat/89-public-address-announced.pcap');
  const without = existsSync(announced) ? false : 'the cases of ../shared are not here';

  it('knows the host behind an external address', { skip: without }, () => {
    for (const inside of [['--inside', '10.0.0.0/8'], []]) {
      const { media, refused, insideAssumed } = json(...inside, '--nat', '198.51.100.1=10.0.0.5', announced);
      assert.deepEqual(refused, { 'not-inside': 1 });
      assert.equal(insideAssumed, inside.length === 0);
      assert.deepEqual(
        media.map(({ dst, passed, blocked }: Record<string, unknown>) => [dst, passed, blocked]),
        [
          ['10.0.0.5', 15, 0],
          ['203.0.113.50', 10, 0],
        ],
      );
    }
  });

  it('opens nothing for a host that the external address does not stand for', { skip: without }, () => {
    const { media, refused } = json('--inside', '10.0.0.0/8', '--nat', '198.51.100.1=10.0.0.6', announced);
    assert.equal(refused['foreign-address'], 1);
    assert.equal(media[0].blocked, 15);
    assert.match(media[0].blocks[0].advice, /nat: \[\{external: 198\.51\.100\.1, hosts: \[10\.0\.0\.5\]\}\]/);
  });

  it('says of an interface that a configuration names, and that is not here, how its address is given', () => {
    const config = join(scratch, 'nat.yaml');
    writeFileSync(config, 'nat: [{external: "interface:nosuch0", hosts: [10.0.0.5]}]');
    const { status, stderr } = run('--config', config, basic);
    assert.equal(status, 0);
    assert.equal(
      stderr,
      'pinholed: interface nosuch0 has no address here: its mapping is left out; --nat EXTERNAL=HOST says what it was\n',
    );
    assert.equal(run('--config', config, '--nat', '198.51.100.1=10.0.0.5', basic).stderr, '');
  });

  it('takes the address that an interface has here for the one it had', () => {
    const told: string[] = [];
    const hosts = [parseNetwork('10.0.0.5/32')!];
    const mapping = { hosts, translation: null, arrivesAt: null };
    const external = { interface: 'em0' };
    const { nat } = atHome(
      {
        nat: [
          { ...mapping, external },
          { ...mapping, external: { interface: 'em1' } },
        ],
      },
      (line) => void told.push(line),
      () => new Map([['em0', ['198.51.100.1', '2001:db8::1']]]),
    );
    assert.deepEqual(
      nat.map((one) => one.external),
      [{ address: '198.51.100.1' }, { address: '2001:db8::1' }],
    );
    assert.deepEqual(told, ['interface em1 has no address here: its mapping is left out']);
  });

  it('says who was assumed to be inside', { skip: without }, () => {
    assert.match(run(announced).stdout, /inside {2}10\.0\.0\.0\/8.*\n +assumed/);
    assert.doesNotMatch(run('--inside', '10.0.0.0/8', announced).stdout, /assumed/);
    assert.doesNotMatch(run(basic).stdout, /assumed/, 'all of its hosts are public');
  });

  it('takes settings from a file', () => {
    const file = join(scratch, 'narrow.yaml');
    writeFileSync(file, 'media-ports: [50000-60000]\n');
    const { calls } = json('--config', file, basic);
    assert.deepEqual(calls[0].pinholes, []);
    assert.equal(calls[0].refusals[0].reason, 'port-out-of-range');
  });

  it('looks for SIP on the ports named only', () => {
    assert.equal(json('--sip-ports', '5060', basic).sip.messages, 7);
    const none = json('--sip-ports', '5080-5090', basic);
    assert.deepEqual([none.sip.messages, none.calls], [0, []]);
  });

  it('shows the part of a window', () => {
    const all = json(basic);
    const late = json('--from', '+1', basic);
    const packets = (report: typeof all) =>
      report.media.reduce((sum: number, flow: { packets: number }) => sum + flow.packets, 0);
    assert.equal(late.frames, all.frames);
    assert.ok(packets(late) > 0 && packets(late) < packets(all));
    assert.ok(late.media.every((flow: { firstAt: number }) => flow.firstAt >= late.window.from));
    assert.ok(json('--to', '+1', basic).frames < all.frames);
  });

  it('shows calls alone, or what was refused alone', () => {
    const calls = run('--calls', basic).stdout;
    assert.match(calls, /INVITE/);
    assert.doesNotMatch(calls, /Pinholes/);
    const refused = run('--refused', join(root, 'pcaps/one-way-audio-private-address.pcap')).stdout;
    assert.match(refused, /Blocked media, and why/);
    assert.doesNotMatch(refused, /INVITE {2}audio/);
  });

  it('reads standard input', () => {
    const command = ['--import', 'tsx', 'src/main.ts', 'replay', '--json', '-'];
    const { status, stdout } = spawnSync(process.execPath, command, {
      cwd: root,
      input: readFileSync(basic),
    });
    assert.equal(status, 0);
    assert.equal(JSON.parse(stdout.toString()).frames, 214);
  });

  it('ends well when its reader has seen enough', () => {
    const line = `"${process.execPath}" --import tsx src/main.ts replay --json "${basic}" | head -c 1`;
    const { stdout, stderr } = spawnSync('sh', ['-c', line], { cwd: root, encoding: 'utf8' });
    assert.deepEqual([stdout, stderr], ['{', '']);
  });

  it('reports a damaged file after what it read, with status 2', () => {
    const whole = readFileSync(basic);
    const cut = join(scratch, 'cut.pcap');
    writeFileSync(cut, whole.subarray(0, whole.length - 10));
    const { status, stdout, stderr } = run('--json', cut);
    assert.equal(status, 2);
    const report = JSON.parse(stdout);
    assert.equal(report.frames, 213);
    assert.equal(report.calls[0].callId, 'basic-call-1@192.0.2.10');
    const [damage] = report.damage;
    assert.ok(damage.offset > 0 && damage.offset < whole.length);
    assert.match(damage.expected, /bytes of frame 214/);
    assert.match(
      stderr,
      /cut\.pcap: at offset [0-9]+: expected the [0-9]+ bytes of frame 214, found [0-9]+ bytes/,
    );
  });

  const text = join(scratch, 'notes.txt');
  writeFileSync(text, 'not a capture');
  for (const [what, args, message] of [
    ['no file', [], /Not enough non-option arguments|expected/i],
    [
      'a file that is not there',
      ['/nonexistent.pcap'],
      /nonexistent\.pcap: cannot be read: there is no such file/,
    ],
    ['a file that is no capture', [text], /notes\.txt: at offset 0: expected the magic number of a pcap/],
    [
      'a network that is none',
      ['--inside', '192.0.2.0/33', basic],
      /--inside: expected a network .* "192\.0\.2\.0\/33"/,
    ],
    ['ports that are none', ['--sip-ports', '70000', basic], /--sip-ports: expected ports .* "70000"/],
    ['a time that is none', ['--from', 'noon', basic], /expected a time .* "noon"/],
    ['an unknown option', [basic, '--verbose'], /verbose/],
    ['two parts at once', ['--calls', '--refused', basic], /--calls or --refused/],
  ] as const) {
    it(`refuses ${what} with status 1`, () => {
      const { status, stdout, stderr } = run(...args);
      assert.deepEqual([status, stdout], [1, '']);
      assert.match(stderr, message);
      assert.doesNotMatch(stderr, /\n {4}at /, 'no stack');
    });
  }
});
