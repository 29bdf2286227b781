import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { SipError, SipMessage } from '../../src/sip/message.ts';
import { readSip } from '../../src/sip/read.ts';
import { createSipFramer, type FramerOptions } from '../../src/sip/stream.ts';
import { bytesOf, invite, mustRead, mustRefuse, OFFER } from './messages.ts';

const options = bytesOf([
  'OPTIONS sip:carol@chicago.example.com SIP/2.0',
  'Via: SIP/2.0/TCP pc33.atlanta.example.com;branch=z9hG4bKhjhs8ass877',
  'To: <sip:carol@chicago.example.com>',
  'From: Alice <sip:alice@atlanta.example.com>;tag=1928301774',
  'Call-ID: a84b4c76e66711',
  'CSeq: 63104 OPTIONS',
  'Content-Length: 0',
]);
const offer = invite(OFFER, 'Content-Type: application/sdp');

/** Everything a framer answers to the pushes, copied so that views into its buffer do not matter. */
function answersTo(pushes: readonly Buffer[], framerOptions?: Partial<FramerOptions>): unknown[] {
  const framer = createSipFramer(framerOptions);
  return pushes.flatMap((bytes) => framer.push(bytes).map(copyOf));
}

function copyOf(answer: SipMessage | SipError): unknown {
  if ('error' in answer || !('bytes' in answer.sdp)) return answer;
  return { ...answer, sdp: { ...answer.sdp, bytes: answer.sdp.bytes.toString('latin1') } };
}

/** `bytes` cut at the given places, and at 1-byte steps when there are none. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const sorted = [0, ...places.map((place) => place % bytes.length).sort((a, b) => a - b), bytes.length];
  return sorted.slice(1).map((end, index) => Buffer.from(bytes.subarray(sorted[index]!, end)));
}

function bytewise(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.from([byte]));
}

describe('framing a stream (RFC 3261 18.3)', () => {
  it('takes a message that is one segment, and one that is many', () => {
    const [whole] = createSipFramer().push(offer);
    const message = mustRead(whole!);
    assert.equal(message.method, 'INVITE');
    assert.ok(message.sdp.kind === 'sdp');
    assert.equal(message.sdp.bytes.toString('latin1'), OFFER);
    assert.deepEqual(answersTo(bytewise(offer)), [copyOf(message)]);
  });

  it('answers at the push that completes the message, not before', () => {
    const framer = createSipFramer();
    assert.equal(framer.push(offer.subarray(0, offer.length - 1)).length, 0);
    assert.equal(framer.held, offer.length - 1);
    assert.equal(framer.push(offer.subarray(offer.length - 1)).length, 1);
    assert.equal(framer.held, 0);
  });

  it('takes many messages in one segment, and keepalives between them (RFC 5626 3.5.1)', () => {
    const bytes = Buffer.concat([Buffer.from('\r\n\r\n'), options, Buffer.from('\r\n\r\n'), offer, options]);
    const methods = createSipFramer()
      .push(bytes)
      .map((answer) => mustRead(answer).method);
    assert.deepEqual(methods, ['OPTIONS', 'INVITE', 'OPTIONS']);
  });

  it('holds nothing of a keepalive', () => {
    const framer = createSipFramer();
    assert.deepEqual(framer.push(Buffer.from('\r\n\r\n')), []);
    assert.equal(framer.held, 0);
    assert.equal(framer.stopped, null);
  });

  it('goes on after a message that must not be used but has a certain length', () => {
    const bad = Buffer.from(options.toString('latin1').replace('63104 OPTIONS', '63104 INVITE'), 'latin1');
    const [first, second] = createSipFramer().push(Buffer.concat([bad, options]));
    assert.equal(mustRefuse(first!).error, 'malformed-header');
    assert.equal(mustRead(second!).method, 'OPTIONS');
  });

  it('gives the same answers for any split of a stream', () => {
    const stream = fc.array(
      fc.constantFrom(options, offer, Buffer.from('\r\n'), Buffer.from('\r\n\r\n'), invite('')),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(stream, fc.array(fc.nat(), { maxLength: 40 }), fc.boolean(), (parts, places, isBroken) => {
        const end = isBroken ? [Buffer.from('GET / HTTP/1.1\r\n\r\n')] : [];
        const bytes = Buffer.concat([...parts, ...end]);
        const whole = answersTo([bytes]);
        assert.deepEqual(answersTo(cut(bytes, places)), whole);
        assert.deepEqual(answersTo(bytewise(bytes)), whole);
      }),
      { numRuns: 60 },
    );
  });

  it('answers what readSip answers for each message alone', () => {
    const framed = createSipFramer()
      .push(Buffer.concat([options, offer]))
      .map(copyOf);
    assert.deepEqual(
      framed,
      [options, offer].map((bytes) => copyOf(readSip(bytes, { stream: true }))),
    );
  });

  it('never throws and never answers after it has stopped, whatever the bytes', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
      fc.constantFrom(options, offer, Buffer.from('\r\n\r\n'), Buffer.from('Content-Length: 5\r\n')),
      fc.nat({ max: offer.length }).map((length) => offer.subarray(0, length)),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.boolean(),
        fc.boolean(),
        (pieces, resync, midstream) => {
          const framer = createSipFramer({ resync, midstream });
          for (const bytes of pieces) {
            const wasStopped = framer.stopped !== null;
            const answers = framer.push(bytes);
            if (wasStopped) assert.equal(answers.length, 0);
            assert.ok(framer.held <= 65_536);
          }
        },
      ),
    );
  });
});

describe('a message that cannot be used, of which is known where it ends', () => {
  const message = (header: string, body: string) =>
    Buffer.from(
      options.toString('latin1').replace('Content-Length: 0\r\n\r\n', `${header}\r\n\r\n${body}`),
      'latin1',
    );
  const crowded = (body: string) => message(`${'X: y\r\n'.repeat(300)}Content-Length: ${body.length}`, body);

  it('with more than 256 headers is refused, and what follows it is read', () => {
    const framer = createSipFramer();
    const [first, second] = framer.push(Buffer.concat([crowded('text'), options]));
    assert.equal(mustRefuse(first!).error, 'too-many-headers');
    assert.equal(mustRead(second!).method, 'OPTIONS');
  });

  it('over 64 KiB, behind another, is passed over however it is cut, and what follows it is read', () => {
    const body = offer.toString('latin1').repeat(Math.ceil(70_000 / offer.length));
    const bytes = Buffer.concat([options, message(`Content-Length: ${body.length}`, body), options]);
    for (const size of [1, 999, 65_000, bytes.length]) {
      const framer = createSipFramer();
      const answers = [];
      for (let at = 0; at < bytes.length; at += size)
        answers.push(...framer.push(bytes.subarray(at, at + size)));
      assert.equal(answers.length, 3);
      assert.equal(mustRead(answers[0]!).method, 'OPTIONS');
      assert.equal(mustRefuse(answers[1]!).error, 'message-too-large');
      assert.equal(mustRead(answers[2]!).method, 'OPTIONS');
      assert.equal(framer.memory, 0);
    }
  });

  it('has no message in its body where framing can be found again', () => {
    const hidden = offer.toString('latin1');
    const bare = message(`X: y\nX: y\r\nContent-Length: ${hidden.length}`, hidden);
    for (const bad of [crowded(hidden), bare]) {
      const framer = createSipFramer({ resync: true });
      const answers = framer.push(Buffer.concat([options, bad, options]));
      assert.deepEqual(
        answers.map((one) => ('error' in one ? 'refused' : one.method)),
        ['OPTIONS', 'refused', 'OPTIONS'],
      );
    }
  });
});

describe('a stream that cannot be framed opens nothing any more', () => {
  function stopReason(bytes: Buffer, framerOptions?: Partial<FramerOptions>): string | null {
    const framer = createSipFramer(framerOptions);
    const answers = framer.push(bytes);
    assert.equal(framer.push(options).length, 0);
    assert.equal(mustRefuse(answers.at(-1)!).error, framer.stopped);
    return framer.stopped;
  }

  function withLength(header: string): Buffer {
    return Buffer.from(options.toString('latin1').replace('Content-Length: 0', header), 'latin1');
  }

  it('NAT Slipstreaming: an HTTP request is not SIP, though a later segment begins like SIP', () => {
    const framer = createSipFramer();
    const post = 'POST /x HTTP/1.1\r\nHost: 192.0.2.1:5060\r\nContent-Length: 5000\r\n\r\n';
    const [answer] = framer.push(Buffer.from(post + 'x'.repeat(1000)));
    assert.equal(mustRefuse(answer!).error, 'not-sip');
    assert.deepEqual(framer.push(options), []);
    assert.deepEqual(framer.push(offer), []);
    assert.equal(framer.stopped, 'not-sip');
  });

  it('an absolute URI does not make an HTTP request SIP', () => {
    assert.equal(stopReason(Buffer.from('POST sip:a@b HTTP/1.1\r\n\r\n')), 'not-sip');
    assert.equal(stopReason(Buffer.from('OPTIONS rtsp://a/b RTSP/1.0\r\nCSeq: 1\r\n\r\n')), 'not-sip');
  });

  it('bytes that never become a start-line', () => {
    assert.equal(stopReason(Buffer.from([0x16, 0x03, 0x01, 0x02])), 'not-sip');
    assert.equal(stopReason(Buffer.from(`INVITE sip:${'a'.repeat(9000)}`)), 'not-sip');
  });

  it('no Content-Length, or one that is no number', () => {
    for (const header of [
      'X: 0',
      'Content-Length: -1',
      'Content-Length: 12abc',
      'Content-Length: 4294967328',
      'Content-Length: 99999999999999999999',
      'Content-Length: 0x10',
      'Content-Length:',
      'Content-Length: 1 2',
    ]) {
      assert.equal(stopReason(withLength(header)), 'bad-content-length', header);
    }
    const zeros = createSipFramer().push(withLength('Content-Length: 0000000000000000000000000'));
    assert.equal(mustRead(zeros[0]!).method, 'OPTIONS');
  });

  it('two lengths that differ; two that agree are one', () => {
    assert.equal(stopReason(withLength('Content-Length: 0\r\nl: 5')), 'conflicting-header');
    const agreeing = createSipFramer().push(withLength('Content-Length: 0\r\nl: 0'));
    assert.equal(mustRead(agreeing[0]!).method, 'OPTIONS');
  });

  it('a header block or a message over 64 KiB', () => {
    const endless = Buffer.from(`OPTIONS sip:a@b SIP/2.0\r\nX: ${'x'.repeat(70_000)}`);
    assert.equal(stopReason(endless), 'message-too-large');
    assert.equal(stopReason(withLength('Content-Length: 65500')), 'message-too-large');
  });

  it('a line that ends in LF alone, which only some readers take for a line end', () => {
    assert.equal(stopReason(withLength('X: y\nContent-Length: 0')), 'malformed-header');
  });

  it('something else after a complete message', () => {
    const framer = createSipFramer();
    const [first, second] = framer.push(Buffer.concat([options, Buffer.from('v=0\r\n')]));
    assert.equal(mustRead(first!).method, 'OPTIONS');
    assert.equal(mustRefuse(second!).error, 'not-sip');
    assert.equal(framer.stopped, 'not-sip');
  });
});

describe('a stream whose framing is lost', () => {
  const search = { resync: true, midstream: true };
  const sipfrag = bytesOf(
    [
      'NOTIFY sip:carol@chicago.example.com SIP/2.0',
      'Via: SIP/2.0/TCP pc33.atlanta.example.com;branch=z9hG4bKnotify',
      'To: <sip:carol@chicago.example.com>;tag=1',
      'From: Alice <sip:alice@atlanta.example.com>;tag=2',
      'Call-ID: notify',
      'CSeq: 1 NOTIFY',
      'Content-Type: message/sipfrag',
      'Content-Length: 20',
    ],
    'SIP/2.0 100 Trying\r\n',
  );

  it('is left alone for good, unless resync was asked for', () => {
    const framer = createSipFramer();
    framer.push(offer.subarray(0, 100));
    framer.lose();
    assert.equal(framer.held, 0);
    assert.deepEqual(framer.push(offer), []);
    assert.equal(framer.stopped, 'truncated-body');
  });

  it('is left alone where it did not begin with SIP, resync or not', () => {
    const framer = createSipFramer({ resync: true });
    const [answer] = framer.push(Buffer.from('POST / HTTP/1.1\r\nHost: x\r\n\r\n'));
    assert.equal(mustRefuse(answer!).error, 'not-sip');
    assert.deepEqual(framer.push(offer), []);
    assert.equal(framer.stopped, 'not-sip');
  });

  it('goes on with the next message, wherever it begins and however it is cut', () => {
    const whole = Buffer.concat([offer.subarray(120), options, offer]);
    const expected = answersTo([options, offer]);
    fc.assert(
      fc.property(fc.array(fc.nat(whole.length - 1), { maxLength: 6 }), (places) => {
        assert.deepEqual(answersTo(cut(whole, places), search), expected);
      }),
    );
    assert.deepEqual(answersTo(bytewise(whole), search), expected);
  });

  it('says how much it has passed over', () => {
    const framer = createSipFramer(search);
    framer.push(Buffer.concat([offer.subarray(120), options]));
    assert.equal(framer.skipped, offer.length - 120);
    assert.equal(framer.isLost, false);
  });

  it('takes no status line in the body of a NOTIFY for a message (RFC 3515 2.4.5)', () => {
    const whole = Buffer.concat([sipfrag.subarray(60), offer]);
    assert.deepEqual(answersTo([whole], search), answersTo([offer]));
    assert.deepEqual(answersTo(bytewise(whole), search), answersTo([offer]));
  });

  it('takes nothing for a message that no message follows', () => {
    const forged = Buffer.concat([options, Buffer.from('more of the body\r\n'), offer]);
    assert.deepEqual(answersTo([forged], search), answersTo([offer]));
  });

  it('after bytes were lost, after a message that never ended, after what is no message', () => {
    for (const spoil of [
      (framer: ReturnType<typeof createSipFramer>) => framer.lose(),
      (framer: ReturnType<typeof createSipFramer>) => {
        framer.push(offer.subarray(0, 300));
        framer.lose();
      },
      (framer: ReturnType<typeof createSipFramer>) => {
        assert.equal(mustRefuse(framer.push(Buffer.from('v=0\r\ns=-\r\n'))[0]!).error, 'not-sip');
      },
    ]) {
      const framer = createSipFramer({ resync: true });
      assert.equal(mustRead(framer.push(options)[0]!).method, 'OPTIONS');
      spoil(framer);
      assert.equal(mustRead(framer.push(offer)[0]!).method, 'INVITE');
      assert.equal(mustRead(framer.push(options)[0]!).method, 'OPTIONS');
      assert.equal(framer.stopped, null);
    }
  });

  it('keeps no more than one message, whatever the bytes', () => {
    const framer = createSipFramer({ ...search, maxBytes: 4096 });
    const line = Buffer.from('INVITE sip:a@b SIP/2.0\r\n');
    for (let count = 0; count < 500; count++) framer.push(line);
    for (let count = 0; count < 500; count++) framer.push(Buffer.from(`X-${count}: ${'x'.repeat(90)}\r\n`));
    for (let count = 0; count < 500; count++) framer.push(Buffer.alloc(100, 0x41));
    assert.ok(framer.memory <= 32_768, String(framer.memory));
  });
});
