import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { filled, UNITS } from '../sip/repeating.ts';
import { assertLinear, total, workOf } from '../work.ts';

const { readSdp, readSdpFragment } = await import('../../src/sdp/read.ts');

/** Steps for each byte of a description, whatever its bytes. */
const MOST = 60;
const SIZE = 4096;

const BEGIN = ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 'c=IN IP4 192.0.2.1'];
const LINES = [
  ...['v=', 'o=', 'c=', 'c=IN IP4 ', 'm=', 'm=audio ', 'm=audio 4000 ', 'm=audio 4000 RTP/AVP ', 'x=', ''],
  ...['a=', 'a=rtcp:', 'a=rtcp:4001 IN IP4 ', 'a=candidate:', 'a=candidate:1 1 udp 1 192.0.2.1 4000 typ '],
  ...[
    'a=mid:',
    'a=rtpmap:',
    'a=rtpmap:101 ',
    'a=rtpmap:101 a/',
    'a=group:BUNDLE ',
    'a=setup:',
    'a=sendonly',
    'a=rtcp-mux',
    'a=end-of-candidates',
  ],
];
/** Characters of a line that is handed to sdp-transform, whose expressions are anchored, and not longer. */
const MAX_LINE = 1024;

function read(bytes: Buffer): void {
  readSdp(bytes);
  readSdpFragment(bytes);
}

function walk(name: string, build: (size: number) => readonly string[]): void {
  const { expressions } = assertLinear(name, SIZE, MOST, (size) => {
    const bytes = Buffer.from(build(size).join('\r\n'), 'latin1');
    return () => read(bytes);
  });
  for (const [expression, longest] of expressions) {
    const isPlain = expression === '/(\\r\\n|\\r|\\n)/' || expression === '/(.*)/';
    assert.ok(isPlain || longest <= MAX_LINE, `${name}: ${expression} on ${longest} characters`);
    assert.ok(isPlain || expression.startsWith('/^'), `${name}: ${expression} is not anchored`);
  }
}

describe('work is linear in the bytes of a description', () => {
  for (const line of LINES) {
    it(`in one line ${line} and in many`, () => {
      for (const unit of UNITS) {
        walk(`${line}${JSON.stringify(unit)}`, (size) => [
          ...BEGIN,
          'm=audio 4000 RTP/AVP 0',
          line + filled(unit, size),
        ]);
        walk(`first ${line}${JSON.stringify(unit)}`, (size) => [line + filled(unit, size), ...BEGIN]);
      }
      for (const unit of ['', '1', ' ', '1 1 udp 1 192.0.2.1 4000 typ host', 'a:']) {
        walk(`${line}${unit}, often`, (size) => [...BEGIN, filled(`${line}${unit}\r\n`, size)]);
        walk(`${line}${unit} in a stream, often`, (size) => [
          ...BEGIN,
          'm=audio 4000 RTP/AVP 0',
          filled(`${line}${unit}\r\n`, size),
        ]);
      }
    });
  }

  it('100,000 m= lines or candidates cost what looking at their bytes costs (A15)', () => {
    for (const line of [
      'm=audio 4000 RTP/AVP 0\r\n',
      'a=candidate:1 1 udp 1 192.0.2.1 4000 typ host\r\n',
      'm=\r\n',
    ]) {
      const bytes = Buffer.from(
        `${BEGIN.join('\r\n')}\r\nm=audio 4000 RTP/AVP 0\r\n${filled(line, 60_000)}`,
        'latin1',
      );
      const steps = total(workOf(() => readSdp(bytes)));
      assert.ok(steps <= 16 * bytes.length, `${steps} steps for ${bytes.length} bytes`);
      const many = Buffer.concat(Array.from({ length: 40 }, () => bytes));
      assert.ok(
        total(workOf(() => readSdp(many))) <= 1000,
        'what is over the largest message is not looked at',
      );
    }
  });
});
