import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const basic = readFileSync(join(root, 'pcaps/basic-call.pcap'));
const COMMAND = ['--import', 'tsx', 'src/main.ts', 'replay', '--follow'];

/** Where the frame with this number (from 1) ends in a pcap file. */
function endOfFrame(bytes: Buffer, number: number): number {
  let at = 24;
  for (let frame = 0; frame < number; frame++) at += 16 + bytes.readUInt32LE(at + 8);
  return at;
}

function followed(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...COMMAND, ...args, '-'], {
    cwd: root,
    input: basic,
    encoding: 'utf8',
  });
  return { status, stderr, lines: stdout.trimEnd().split('\n') };
}

describe('replay --follow', () => {
  it('tells of a call before the capture goes on', async () => {
    const child = spawn(process.execPath, [...COMMAND, '--inside', '192.0.2.0/24', '-'], { cwd: root });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const until = async (what: RegExp) => {
      for (let next = await lines.next(); !next.done; next = await lines.next()) {
        if (what.test(next.value)) return next.value;
      }
      return assert.fail(`no line with ${what}`);
    };
    const invite = endOfFrame(basic, 1);
    child.stdin.write(basic.subarray(0, invite));
    await until(/192\.0\.2\.10:5060 > 198\.51\.100\.20:5060 INVITE {2}audio 192\.0\.2\.10:49170/);
    await until(/opened audio udp 192\.0\.2\.10:49170-49171 from 198\.51\.100\.20$/);
    child.stdin.end(basic.subarray(invite));
    await until(/ended: bye$/);
    const status = await new Promise((resolve) => child.once('close', resolve));
    assert.equal(status, 0);
  });

  it('writes JSON as watch does', () => {
    const { status, stderr, lines } = followed('--json', '--inside', '192.0.2.0/24');
    assert.deepEqual([status, stderr], [0, '']);
    const events = lines.map((line) => JSON.parse(line));
    assert.deepEqual(
      events.filter(({ type }) => type === 'call').map(({ what, reason }) => [what, reason]),
      [
        ['started', null],
        ['ended', 'bye'],
      ],
    );
    assert.ok(events.some(({ type, pinhole }) => type === 'pinhole' && pinhole.address === '192.0.2.10'));
  });

  it('has the daemon’s own idea of who is inside', () => {
    const { lines } = followed();
    assert.ok(!lines.some((line) => line.includes('opened')), 'documentation addresses are not');
  });

  it('goes with nothing that wants the whole capture', () => {
    for (const option of ['--calls', '--refused', '--html=x.html', '--from=+1']) {
      assert.equal(followed(option).status, 1, option);
    }
  });
});
