import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readSdp } from '../../src/sdp/read.ts';
import type { SipError, SipMessage } from '../../src/sip/message.ts';
import { readSip } from '../../src/sip/read.ts';
import { createSipFramer } from '../../src/sip/stream.ts';
import { sharedDir, withoutShared } from '../shared.ts';

/** What RFC 4475 asks of a reader, from the text of its sections: 3.1.1, 3.2 to 3.4, and one by one in 3.1.2. */
const MUST_READ = [
  ...[
    'wsinv',
    'intmeth',
    'esc01',
    'escnull',
    'esc02',
    'lwsdisp',
    'longreq',
    'dblreq',
    'semiuri',
    'transports',
  ],
  ...[
    'mpart01',
    'unreason',
    'noreason',
    'badbranch',
    'unkscm',
    'novelsc',
    'unksm2',
    'bext01',
    'invut',
    'regaut01',
  ],
  ...['bcast', 'zeromf', 'cparam01', 'cparam02', 'regescrt', 'sdp01', 'inv2543'],
];
const MUST_REFUSE = [
  ...[
    'badinv01',
    'clerr',
    'ncl',
    'scalar02',
    'scalarlg',
    'quotbal',
    'badvers',
    'mismatch01',
    'mismatch02',
    'bigcode',
  ],
  ...['insuf', 'multi01', 'mcl01'],
];
const EITHER = [
  ...['ltgtruri', 'lwsruri', 'lwsstart', 'trws', 'escruri', 'baddate', 'regbadct', 'badaspec', 'baddn'],
];

function load(name: string): Buffer {
  return readFileSync(`${sharedDir}/captures/messages/rfc4475/${name}.dat`);
}

/** An answer in the words of docs/evidence/rfc4475.md. */
function outcomeOf(answer: SipMessage | SipError): string {
  if ('error' in answer) return `refused: \`${answer.error}\``;
  const quote = answer.method.includes('`') ? '``' : '`';
  const kind = answer.status === 0 ? quote + answer.method + quote : String(answer.status);
  if (answer.sdp.kind !== 'sdp')
    return `read: ${kind}, ${answer.sdp.kind === 'none' ? 'no SDP' : answer.sdp.kind}`;
  const session = readSdp(answer.sdp.bytes);
  if ('error' in session) return `read: ${kind}, SDP refused: \`${session.error}\``;
  const streams = session.streams.map(({ media, port }) => `${media} ${port}`);
  return `read: ${kind}, SDP with ${streams.join(', ')}`;
}

interface Row {
  readonly name: string;
  readonly verdict: string;
  readonly outcome: string;
}

function documentedRows(): readonly Row[] {
  const document = readFileSync(new URL('../../docs/evidence/rfc4475.md', import.meta.url), 'utf8');
  return document
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim()))
    .filter(([, section]) => /^3\.[\d.]+$/.test(section ?? ''))
    .map(([, , name, verdict, , outcome]) => ({
      name: name!.replaceAll('`', ''),
      verdict: verdict!,
      outcome: outcome!,
    }));
}

describe('RFC 4475 torture messages', { skip: withoutShared }, () => {
  it('what must be read is read', () => {
    for (const name of MUST_READ) assert.match(outcomeOf(readSip(load(name))), /^read/, name);
  });

  it('what must be refused is refused', () => {
    for (const name of MUST_REFUSE) assert.match(outcomeOf(readSip(load(name))), /^refused/, name);
  });

  it('docs/evidence/rfc4475.md has all 49 messages, the verdict of the RFC, and what the reader does', () => {
    const rows = documentedRows();
    assert.equal(rows.length, 49);
    const verdicts = { valid: MUST_READ, invalid: MUST_REFUSE, either: EITHER };
    for (const [verdict, names] of Object.entries(verdicts)) {
      const documented = rows.filter((row) => row.verdict === verdict).map((row) => row.name);
      assert.deepEqual(documented.sort(), [...names].sort(), verdict);
    }
    for (const { name, outcome } of rows) assert.equal(outcome, outcomeOf(readSip(load(name))), name);
  });

  it('3.1.1.1: the values in the folded headers', () => {
    const message = readSip(load('wsinv'));
    assert.ok(!('error' in message));
    assert.equal(message.callId, 'wsinv.ndaksdj@192.0.2.1');
    assert.equal(message.fromTag, '98asjd8');
    assert.equal(message.toTag, '1918181833n');
    assert.equal(message.cseq, 9);
    assert.equal(message.branch, '390skdjuw');
    assert.equal(message.sentBy, '192.0.2.2');
  });

  it('3.1.1.2: tags and branch of unusual characters', () => {
    const message = readSip(load('intmeth'));
    assert.ok(!('error' in message));
    assert.equal(message.method, "!interesting-Method0123456789_*+`.%indeed'~");
    assert.equal(message.branch, "z9hG4bK-.!%66*_+`'~");
    assert.equal(message.fromTag, "_token~1'+`*%!-.");
    assert.equal(message.callId, 'intmeth.word%ZK-!.*_+\'@word`~)(><:\\/"][?}{');
  });

  it('on a stream, 3.1.2.2 waits for its body, and what must be refused never opens anything', () => {
    const waiting = createSipFramer();
    assert.deepEqual(waiting.push(load('clerr')), []);
    assert.equal(waiting.stopped, null);
    for (const name of MUST_REFUSE.filter((message) => message !== 'clerr')) {
      const [answer] = createSipFramer().push(load(name));
      assert.ok(answer !== undefined && 'error' in answer, name);
    }
  });

  it('on a stream, 3.1.2.3 and 3.3.9 end the framing for good', () => {
    for (const [name, reason] of [
      ['ncl', 'bad-content-length'],
      ['mcl01', 'conflicting-header'],
    ] as const) {
      const framer = createSipFramer();
      framer.push(load(name));
      assert.equal(framer.stopped, reason);
      assert.deepEqual(framer.push(load('wsinv')), []);
    }
  });

  it('test.dat of the archive is not SIP', () => {
    assert.equal(outcomeOf(readSip(load('test'))), 'refused: `not-sip`');
  });
});
