import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readBody } from '../../src/sip/body.ts';
import { OFFER } from './messages.ts';

interface Headers {
  type?: string;
  disposition?: string;
  encoding?: string;
}

/** The session description found, or the kind or reason of what was found instead. */
function found(
  body: string,
  { type = 'application/sdp', disposition = '', encoding = '' }: Headers = {},
): string {
  const headers = { contentType: type, contentDisposition: disposition, contentEncoding: encoding };
  const answer = readBody(headers, Buffer.from(body, 'latin1'));
  if ('reason' in answer) return answer.reason;
  return 'bytes' in answer ? `${answer.kind}:${answer.bytes.toString('latin1')}` : answer.kind;
}

/** A multipart body; each part is its headers, an empty line, and its content. */
function multipart(boundary: string, ...parts: string[]): string {
  return `${parts.map((part) => `--${boundary}\r\n${part}\r\n`).join('')}--${boundary}--\r\n`;
}

const sdpPart = (sdp: string, ...headers: string[]) =>
  ['Content-Type: application/sdp', ...headers, '', sdp].join('\r\n');
const mixed = { type: 'multipart/mixed;boundary=b1' };

describe('a body that is one thing', () => {
  it('application/sdp, however it is written (RFC 3261 20.15)', () => {
    for (const type of [
      'application/sdp',
      'Application/SDP',
      'application / sdp',
      'application/sdp;charset=utf-8',
    ]) {
      assert.equal(found(OFFER, { type }), `sdp:${OFFER}`, type);
    }
  });

  it('nothing else is a description, though it begins with v=0', () => {
    for (const type of [
      'text/plain',
      'application/sdp-x',
      'text/sdp',
      'application/SDPfoo',
      'message/sipfrag',
    ]) {
      assert.equal(found(OFFER, { type }), 'none', type);
    }
  });

  it('without a type it is one that begins with v=0 and a line end', () => {
    assert.equal(found(OFFER, { type: '' }), `sdp:${OFFER}`);
    assert.equal(found('v=0\nx', { type: '' }), 'sdp:v=0\nx');
    for (const body of ['', 'v=0', 'v=01\r\n', ' v=0\r\n', '\r\nv=0\r\n', `hello\r\n${OFFER}`]) {
      assert.equal(found(body, { type: '' }), 'none', JSON.stringify(body));
    }
    assert.equal(found(OFFER, { type: '', encoding: 'gzip' }), 'none');
    assert.equal(found(OFFER, { type: '', disposition: 'render' }), 'none');
  });

  it('disposition `session` is the default, others are other things (RFC 3261 20.11, RFC 3959)', () => {
    for (const disposition of ['session', 'Session;handling=required', ' session ']) {
      assert.equal(found(OFFER, { disposition }), `sdp:${OFFER}`);
    }
    for (const disposition of ['early-session', 'render', 'icon', 'alert', 'by-reference', 'unknown']) {
      assert.equal(found(OFFER, { disposition }), 'none', disposition);
    }
  });

  it('an encoding other than identity hides it (RFC 3261 20.12)', () => {
    assert.equal(found(OFFER, { encoding: 'gzip' }), 'encoded-body');
    assert.equal(found(OFFER, { encoding: 'Identity' }), `sdp:${OFFER}`);
    assert.equal(found(OFFER, { type: 'text/plain', encoding: 'gzip' }), 'none');
  });

  it('S/MIME hides it (RFC 3261 section 23)', () => {
    assert.equal(found(OFFER, { type: 'application/pkcs7-mime; smime-type=enveloped-data' }), 'encoded-body');
    assert.equal(found(OFFER, { type: 'multipart/signed;boundary=b1' }), 'encoded-body');
  });

  it('a fragment of trickle ICE (RFC 8840 section 9)', () => {
    assert.equal(
      found('a=x', { type: 'application/trickle-ice-sdpfrag', disposition: 'info-package' }),
      'sdpfrag:a=x',
    );
  });
});

describe('multipart (RFC 2046 5.1)', () => {
  it('mixed, alternative and related, quoted boundary, preamble and epilogue', () => {
    const body = `preamble --b1\r\n${multipart('b1', 'Content-Type: text/plain\r\n\r\nhello', sdpPart(OFFER))}v=0\r\n`;
    for (const type of ['mixed', 'alternative', 'related', 'Mixed']) {
      assert.equal(found(body, { type: `multipart/${type};boundary=b1` }), `sdp:${OFFER}`);
      assert.equal(
        found(body, { type: `multipart/${type}; x="a;boundary=no"; BOUNDARY = "b1"` }),
        `sdp:${OFFER}`,
      );
    }
  });

  it('the line break before a delimiter is the delimiter’s, and LF alone is one', () => {
    const body = multipart('b1', sdpPart('v=0')).replaceAll('\r\n', '\n');
    assert.equal(found(body, mixed), 'sdp:v=0');
    assert.equal(found(multipart('b1', sdpPart('v=0\r\n')), mixed), 'sdp:v=0\r\n');
  });

  it('a boundary that only begins a line is no delimiter', () => {
    assert.equal(found(multipart('b1', sdpPart('v=0\r\n--b12\r\nx')), mixed), 'sdp:v=0\r\n--b12\r\nx');
    assert.equal(found(multipart('b1', sdpPart('v=0\r\nx--b1')), mixed), 'sdp:v=0\r\nx--b1');
  });

  it('a part without headers, or without Content-Type, is text (RFC 2046 5.1)', () => {
    assert.equal(found(multipart('b1', '\r\nv=0'), mixed), 'none');
    assert.equal(found(multipart('b1', 'Content-Length: 3\r\n\r\nv=0'), mixed), 'none');
  });

  it('each part has its own disposition and encodings', () => {
    const early = sdpPart('v=0', 'Content-Disposition: early-session');
    assert.equal(found(multipart('b1', early, sdpPart(OFFER)), mixed), `sdp:${OFFER}`);
    assert.equal(
      found(multipart('b1', sdpPart('djA9', 'Content-Transfer-Encoding: base64')), mixed),
      'encoded-body',
    );
    assert.equal(
      found(multipart('b1', sdpPart(OFFER, 'Content-Transfer-Encoding: BINARY')), mixed),
      `sdp:${OFFER}`,
    );
    assert.equal(found(multipart('b1', sdpPart('v=0', 'Content-Encoding: gzip')), mixed), 'encoded-body');
  });

  it('folded and oddly written part headers', () => {
    const part = 'content-TYPE :\r\n application/sdp\r\n\r\nv=0';
    assert.equal(found(multipart('b1', part), mixed), 'sdp:v=0');
  });

  it('two session descriptions are none to act on', () => {
    assert.equal(found(multipart('b1', sdpPart(OFFER), sdpPart(OFFER)), mixed), 'several-sdp');
  });

  it('a part with two content types', () => {
    assert.equal(found(multipart('b1', sdpPart(OFFER, 'Content-Type: text/plain')), mixed), 'malformed-body');
  });

  it('no boundary, a boundary that never comes', () => {
    assert.equal(found(OFFER, { type: 'multipart/mixed' }), 'malformed-body');
    assert.equal(found(OFFER, { type: 'multipart/mixed;boundary=""' }), 'malformed-body');
    assert.equal(found(OFFER, { type: `multipart/mixed;boundary=${'b'.repeat(71)}` }), 'malformed-body');
    assert.equal(found(OFFER, mixed), 'malformed-body');
  });

  it('without its closing delimiter ends with the body', () => {
    assert.equal(found(`--b1\r\n${sdpPart(OFFER)}`, mixed), `sdp:${OFFER}`);
    assert.equal(found(`--b1\r\n${sdpPart(OFFER)}\r\n--b1\r\n${sdpPart(OFFER)}`, mixed), 'several-sdp');
    assert.equal(found(`--b1\r\n\r\nx\r\n--b1`, mixed), 'none');
  });

  function nested(depth: number): string {
    let body = sdpPart(OFFER);
    for (let level = depth; level > 1; level--) {
      body = `Content-Type: multipart/mixed;boundary=b${level}\r\n\r\n${multipart(`b${level}`, body)}`;
    }
    return multipart('b1', body);
  }

  it('is followed three levels deep', () => {
    assert.equal(found(nested(3), mixed), `sdp:${OFFER}`);
    assert.equal(found(nested(4), mixed), 'nested-body');
    assert.equal(found(nested(50), mixed), 'nested-body');
  });

  it('of more than 64 parts is not looked through', () => {
    const parts = Array.from({ length: 64 }, () => '\r\nx');
    assert.equal(found(multipart('b1', ...parts), mixed), 'none');
    assert.equal(found(multipart('b1', ...parts, sdpPart(OFFER)), mixed), 'malformed-body');
  });

  it('never throws, whatever the body and its headers', () => {
    const line = fc.constantFrom(
      '--b1\r\n',
      '--b1--\r\n',
      '--b1',
      '\r\n',
      '\n',
      'Content-Type: application/sdp\r\n',
      'v=0\r\n',
      ' ',
      ':',
    );
    const type = fc.constantFrom(
      'multipart/mixed;boundary=b1',
      'multipart/mixed;boundary="',
      'multipart/mixed;=',
      '',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(line, fc.string())), type, (lines, contentType) => {
        const body = lines.join('');
        const answer = found(body, { type: contentType });
        if (answer.startsWith('sdp:')) assert.ok(body.includes(answer.slice(4)));
      }),
    );
  });
});
