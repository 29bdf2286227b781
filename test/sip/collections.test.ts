import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readSdp } from '../../src/sdp/read.ts';
import type { SipError, SipMessage } from '../../src/sip/message.ts';
import { readSip } from '../../src/sip/read.ts';
import { createSipFramer } from '../../src/sip/stream.ts';
import { sharedDir, withoutShared } from '../shared.ts';
import { isError } from './messages.ts';

const messagesDir = `${sharedDir}/captures/messages`;

function answersOf(collection: string): Map<string, SipMessage | SipError> {
  const names = readdirSync(`${messagesDir}/${collection}`).sort();
  return new Map(names.map((name) => [name, readSip(readFileSync(`${messagesDir}/${collection}/${name}`))]));
}

/** Messages of a collection whose source says that a parser must refuse them. */
function expectedErrors(collection: string): Set<string> {
  const rows = readFileSync(`${sharedDir}/captures/MANIFEST.tsv`, 'utf8').split('\n');
  const prefix = `messages/${collection}/`;
  return new Set(
    rows
      .map((row) => row.split('\t'))
      .filter((cells) => cells[0]!.startsWith(prefix) && cells.at(-1)!.includes('expects a parse error'))
      .map((cells) => cells[0]!.slice(prefix.length)),
  );
}

const LIBERAL = 'RFC 4475 leaves the choice; nothing that we use is ambiguous (docs/evidence/rfc4475.md)';
const NOT_OURS = 'the error is in a header or in the meaning of a URI, neither of which we read';

/** Where the source expects a refusal and we read the message: why. */
const READ_ALL_THE_SAME: Readonly<Record<string, string>> = {
  '001.sip': LIBERAL,
  '004.sip': LIBERAL,
  '006.sip': NOT_OURS,
  '007.sip': NOT_OURS,
  '017.sip': 'every header that is there twice says the same twice',
  '024.sip': 'the method is unknown and the description lacks s= and t=: none of it is needed to read either',
  '029.sip': NOT_OURS,
  '345.sip': LIBERAL,
  '347.sip': LIBERAL,
  '349.sip': LIBERAL,
  '350.sip': LIBERAL,
  '351.sip': LIBERAL,
  '352.sip': LIBERAL,
  '353.sip': LIBERAL,
};

/** Where the source expects no error and we refuse: why. */
const REFUSED_ALL_THE_SAME: Readonly<Record<string, string>> = {
  '025.sip': 'a response with neither From nor To nor Call-ID belongs to no dialog',
  '333.sip':
    'a copy of dblreq that lost the empty line between its two requests: one request with two To, which differ',
  '338.sip':
    'a copy of noreason in which "<hex>20</hex>" stands for the space: "100<hex>20</hex>" is no status',
  '366.sip':
    'two different Call-ID, CSeq, From and To: two readers would see two calls (docs/evidence/rfc4475.md, multi01)',
};

describe('jain-sip torture messages', { skip: withoutShared }, () => {
  it('each is read or refused as their source expects, or there is a reason', () => {
    const expected = expectedErrors('jsip-torture');
    assert.ok(expected.size > 30);
    const read: string[] = [];
    const refused: string[] = [];
    for (const [name, answer] of answersOf('jsip-torture')) {
      if (expected.has(name) && !isError(answer)) read.push(name);
      if (!expected.has(name) && isError(answer)) refused.push(name);
    }
    assert.deepEqual(read, Object.keys(READ_ALL_THE_SAME).sort());
    assert.deepEqual(refused, Object.keys(REFUSED_ALL_THE_SAME).sort());
  });
});

describe('kamailio test messages', { skip: withoutShared }, () => {
  /** All others are read. None of these can be used: their source tests a parser, not a call. */
  const refused: Readonly<Record<string, readonly string[]>> = {
    // Without the body that its Content-Type announces.
    'truncated-body': ['message'],
    'missing-header': [
      ...['bad_uri', 'bad_via1', 'inv_srv', 'invite1', 'invite3-callid', 'invite5-callid', 'no_eom_reply'],
      ...['message02', 'req1', 'req2', 'rport', 'short_reply'],
    ],
    // CSeq: 101
    'malformed-header': ['invite4-cseq'],
    // The first line ends in SIP/2.0/UDP.
    'malformed-start-line': ['bad_via2', 'bad_via3'],
  };

  it('are read, but for those that are cut short or lack headers', () => {
    const expected = Object.entries(refused).flatMap(([reason, names]) =>
      names.map((name) => [`${name}.sip`, reason]),
    );
    const actual = [...answersOf('kamailio')].flatMap(([name, answer]) =>
      isError(answer) ? [[name, answer.error]] : [],
    );
    assert.deepEqual(Object.fromEntries(actual), Object.fromEntries(expected));
  });

  /** Stored with LF for CRLF, so that the body is shorter than Content-Length says; or without a body at all. */
  const short = [
    ...['bad_uri', 'dns', 'inv_srv', 'invite00', 'invite3-callid', 'invite4-cseq', 'invite5-callid'],
    ...['invite6-badbranch-via', 'long', 'message', 'message02', 'ms-invite-00', 'nmr', 'route', 'rport'],
  ];

  it('the calls among the short ones open their media, with LF as with CRLF, and the others show the defect they are named for', () => {
    const outcomes: Record<string, string> = {};
    for (const name of short) {
      const found = ['\n', '\r\n'].map((lineEnd) => {
        const text = readFileSync(`${messagesDir}/kamailio/${name}.sip`, 'latin1');
        const message = readSip(Buffer.from(text.replace(/\r?\n/g, lineEnd), 'latin1'));
        if (isError(message)) return message.error;
        return message.sdp.kind === 'sdp' ? mediaOf(message.sdp.bytes) : message.sdp.kind;
      });
      assert.equal(found[0], found[1], name);
      outcomes[name] = found[0]!;
    }
    assert.deepEqual(outcomes, {
      bad_uri: 'missing-header',
      dns: 'audio 18456',
      inv_srv: 'missing-header',
      invite00: 'audio 54742',
      'invite3-callid': 'missing-header',
      'invite4-cseq': 'malformed-header',
      'invite5-callid': 'missing-header',
      'invite6-badbranch-via': 'audio 18456',
      long: 'audio 54742',
      message: 'truncated-body',
      message02: 'missing-header',
      'ms-invite-00': 'audio 16090',
      nmr: 'audio 35274',
      route: 'audio 18456',
      rport: 'missing-header',
    });
  });

  function mediaOf(sdp: Buffer): string {
    const session = readSdp(sdp);
    return 'error' in session
      ? session.error
      : session.streams.map(({ media, port }) => `${media} ${port}`).join(' ');
  }
});

describe('fuzzing seeds of pjsip and sipgo', { skip: withoutShared }, () => {
  it('sipgo: strings that once broke a parser are not SIP', () => {
    for (const [name, answer] of answersOf('sipgo-fuzz')) {
      assert.ok(isError(answer) && answer.error === 'not-sip', name);
    }
  });

  it('pjsip: read, but for those cut from their context', () => {
    const refused = [...answersOf('pjsip-fuzz')].flatMap(([name, answer]) =>
      isError(answer) ? [[name, answer.error]] : [],
    );
    assert.deepEqual(Object.fromEntries(refused), {
      // To stands in the middle of the From line.
      'sip_input.1.sip': 'missing-header',
      // Two messages cut into one another.
      'sip_input.4.sip': 'missing-header',
    });
  });

  it('pjsip: a value that the source names', () => {
    const timers = answersOf('pjsip-fuzz').get('sip_session_timers.sip')!;
    assert.ok(!isError(timers));
    assert.equal(timers.sessionExpires, 1800);
  });
});

describe('all collections on a stream', { skip: withoutShared }, () => {
  it('what is framed and read there is what a datagram gives', () => {
    for (const collection of readdirSync(messagesDir)) {
      for (const [name, answer] of answersOf(collection)) {
        const bytes = readFileSync(`${messagesDir}/${collection}/${name}`);
        const [framed] = createSipFramer().push(bytes);
        if (framed === undefined || isError(framed)) continue;
        // What stands behind Content-Length is the next message there.
        if (!isError(answer) && answer.sdp.kind === 'unusable') continue;
        assert.deepEqual(framed, answer, `${collection}/${name}`);
      }
    }
  });
});
