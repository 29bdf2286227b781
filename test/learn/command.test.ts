import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pcap = (name: string) => join(root, `pcaps/${name}.pcap`);
const scratch = mkdtempSync(join(tmpdir(), 'pinholed-learn-'));
after(() => rmSync(scratch, { recursive: true }));

function run(...args: string[]) {
  const command = ['--import', 'tsx', 'src/main.ts', ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: root, encoding: 'utf8' });
  return { status, stdout, stderr };
}

function file(name: string, content: string | Uint8Array): string {
  const path = join(scratch, name);
  writeFileSync(path, content);
  return path;
}

/** Its last packet is cut. */
const damaged = file('damaged.pcap', readFileSync(pcap('basic-call')).subarray(0, -10));

describe('pinholed learn, of captures', () => {
  it('prints a file that check accepts and says is in order', () => {
    const { status, stdout, stderr } = run('learn', '--inside', '198.51.100.0/24', pcap('trunk-many-calls'));
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(
      stdout.replaceAll('\n#', ''),
      /^# Configuration of pinholed, learned from .*: 20 calls, 20 of them with media or answered/,
    );
    assert.match(stdout, /^# {3}nft: ip daddr \{ 198\.51\.100\.20 \} udp dport \{ 41000-41039 \} accept$/m);
    const check = run('check', '--config', file('learned.yaml', stdout));
    assert.equal(check.status, 0, check.stderr);
  });

  it('asks whose hosts are inside where that is not to be seen, and for files that can be read again', () => {
    const unknown = run('learn', pcap('basic-call'));
    assert.deepEqual([unknown.status, unknown.stdout], [1, '']);
    assert.match(unknown.stderr, /^pinholed: whose hosts are inside is not to be seen here: .*--inside\n$/);
    const stream = run('learn', '--inside', '198.51.100.0/24', '-');
    assert.equal(stream.status, 1);
    assert.match(stream.stderr, /^pinholed: - can be read once only/);
    const missing = run('learn', '--inside', '198.51.100.0/24', 'none.pcap');
    assert.equal(missing.status, 1);
    assert.match(missing.stderr, /^pinholed: .*none\.pcap/);
  });

  it('ends with 2 where there is nothing to learn, and where a file was damaged', () => {
    const nothing = run('learn', '--inside', '198.51.100.0/24', pcap('busy'));
    assert.deepEqual([nothing.status, nothing.stdout], [2, '']);
    assert.equal(
      nothing.stderr,
      'pinholed: nothing to learn: none of 1 calls had media for a host inside, or agreed on any that a configuration could allow\n',
    );
    const half = run('learn', '--inside', '198.51.100.0/24', damaged);
    assert.equal(half.status, 2);
    assert.match(half.stdout, /^ {2}- 198\.51\.100\.20$/m);
    assert.match(half.stderr, /^pinholed: .*damaged\.pcap/);
  });
});

describe('pinholed whatif', () => {
  const now = file('now.yaml', 'inside: [198.51.100.0/24]\n');
  const captures = [pcap('trunk-many-calls'), pcap('basic-call')];
  const whatif = (config: string, ...more: string[]) =>
    run('whatif', '--config', file('next.yaml', config), '--config-now', now, ...more);

  it('says that nothing would have been otherwise', () => {
    const { status, stdout, stderr } = whatif('inside: [198.51.100.20]\n', ...captures);
    assert.deepEqual([status, stderr], [0, '']);
    assert.match(stdout, /^inside: \["198\.51\.100\.0\/24"\] to \["198\.51\.100\.20\/32"\]$/m);
    assert.match(stdout, /^21 of 21 calls as before\.$/m);
  });

  it('names the calls that would have lost audio, why, and what to do', () => {
    const { status, stdout } = whatif('inside: [198.51.100.0/24]\nmedia-ports: [41000-41039]\n', ...captures);
    assert.equal(status, 2);
    assert.match(
      stdout,
      /^1 of 21 calls would have lost audio:\n {2}2026-11-23 08:19:15 basic-call-1@192\.0\.2\.10, .*\n {4}audio at 198\.51\.100\.20:40000-40001: port-out-of-range \(.*\): /m,
    );
    assert.match(stdout, /^20 of 21 calls as before\.$/m);
  });

  it('tells a setting that only says who may send, by the packets that it would have blocked', () => {
    const { status, stdout } = whatif(
      'inside: [198.51.100.0/24]\nmedia-source: signalling-peer\n',
      pcap('direct-media-gateway'),
      pcap('one-way-audio-unannounced-source'),
    );
    assert.equal(status, 0, stdout);
    const json = JSON.parse(
      whatif(
        'inside: [192.0.2.0/24]\nmedia-source: any\n',
        '--json',
        pcap('one-way-audio-unannounced-source'),
      ).stdout,
    );
    assert.deepEqual([json.calls, json.losing.length, json.gaining.length], [1, 1, 0]);
    assert.match(json.losing[0].differences[0], /^audio at 198\.51\.100\.20:40000/);
  });

  it('tells those that it would give audio', () => {
    const narrow = file('narrow.yaml', 'inside: [192.0.2.0/24]\n');
    const wide = file('wide.yaml', 'inside: [192.0.2.0/24]\nmedia-source: any\n');
    const { status, stdout } = run(
      ...['whatif', '--config', wide, '--config-now', narrow],
      pcap('one-way-audio-unannounced-source'),
    );
    assert.equal(status, 0);
    assert.match(
      stdout,
      /^1 of 1 calls would have had audio that was refused:\n.*\n {4}media from 198\.51\.100\.30:42000 /m,
    );
  });

  it('says that no call has anything to do with either configuration', () => {
    const elsewhere = file('elsewhere.yaml', 'inside: [10.0.0.0/8]\n');
    const { status, stdout } = run(
      'whatif',
      '--config',
      elsewhere,
      '--config-now',
      elsewhere,
      pcap('basic-call'),
    );
    assert.equal(status, 0);
    assert.match(stdout, /^No setting differs\.$/m);
    assert.match(stdout, /^Not one of them has a pinhole under either: is `inside` /m);
  });

  it('ends with 3 where a file was damaged, and with 1 where a file is wrong', () => {
    assert.equal(whatif('inside: [198.51.100.0/24]\n', damaged).status, 3);
    const wrong = whatif('insid: []\n', pcap('basic-call'));
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /unknown key, did you mean inside\?/);
    assert.equal(run('whatif', pcap('basic-call')).status, 1);
  });
});
