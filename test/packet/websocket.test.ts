import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createWebSocketReader, opensWebSocket } from '../../src/packet/websocket.ts';
import { frame } from './websocket-frames.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

function read(isMasked: boolean, bytes: Buffer, maxBytes = 70_000) {
  const reader = createWebSocketReader(isMasked, maxBytes);
  const messages: Buffer[] = [];
  const fault = reader.push(bytes, (one) => messages.push(Buffer.from(one)));
  return { messages, fault, reader };
}

describe('WebSocket frames', () => {
  const examples: readonly (readonly [string, boolean, Buffer, readonly Buffer[]])[] = [
    ['a text message', false, hex('81 05 48656c6c6f'), [Buffer.from('Hello')]],
    ['a masked one', true, hex('81 85 37fa213d 7f9f4d5158'), [Buffer.from('Hello')]],
    ['a fragmented one', false, hex('01 03 48656c 80 02 6c6f'), [Buffer.from('Hello')]],
    ['a ping and its pong', false, hex('89 05 48656c6c6f 8a 00'), []],
    ['a masked pong', true, hex('8a 85 37fa213d 7f9f4d5158'), []],
    ['256 bytes', false, Buffer.concat([hex('82 7e 0100'), Buffer.alloc(256, 7)]), [Buffer.alloc(256, 7)]],
    [
      '64 KiB',
      false,
      Buffer.concat([hex('82 7f 0000000000010000'), Buffer.alloc(65_536, 7)]),
      [Buffer.alloc(65_536, 7)],
    ],
    [
      'a ping between two fragments',
      false,
      hex('01 03 48656c 89 00 80 02 6c6f 81 01 41'),
      [Buffer.from('Hello'), Buffer.from('A')],
    ],
    ['empty messages', true, hex('81 80 00000000 82 80 11111111'), [Buffer.alloc(0), Buffer.alloc(0)]],
  ];
  for (const [name, isMasked, bytes, messages] of examples) {
    it(`${name} (RFC 6455 5.7)`, () => {
      const found = read(isMasked, bytes);
      assert.equal(found.fault, null);
      assert.deepEqual(found.messages, messages);
    });
  }

  const faults: readonly (readonly [string, boolean, Buffer, RegExp])[] = [
    ['of a client without a mask', true, hex('81 05 48656c6c6f'), /not masked/],
    ['of a server with one', false, hex('81 85 37fa213d 7f9f4d5158'), /is masked/],
    ['compressed', false, hex('c1 05 48656c6c6f'), /compressed/],
    ['of an unknown kind', false, hex('83 00'), /unknown kind/],
    ['a control frame in fragments', false, hex('09 00'), /control frame/],
    ['a long control frame', false, hex('89 7e 0100'), /control frame/],
    ['a continuation of nothing', false, hex('80 00'), /mixed up/],
    ['a new message within another', false, hex('01 01 41 81 01 42'), /mixed up/],
    ['too long', false, hex('82 7f 00000000ffffffff'), /more than 70000 bytes/],
    ['far too long', false, hex('82 7f ffffffffffffffff'), /more than 70000 bytes/],
  ];
  for (const [name, isMasked, bytes, words] of faults) {
    it(`no more is read after a frame ${name}`, () => {
      const { fault, reader } = read(isMasked, bytes);
      assert.match(fault ?? '', words);
      assert.equal(
        reader.push(frame('Hello'), () => assert.fail()),
        fault,
      );
    });
  }

  it('are none behind a close, whole or in part (RFC 6455 5.5.1)', () => {
    const { messages, fault, reader } = read(false, hex('81 01 41 01 01 42 88 02 03e8 80 01 43 81 01 44'));
    assert.deepEqual([messages, fault], [[Buffer.from('A')], null]);
    for (const later of ['81 01 45', 'ff ff'])
      assert.equal(
        reader.push(hex(later), () => assert.fail()),
        null,
      );
    assert.equal(reader.memory, 0);
  });

  it('are bounded together where they are fragments of one message', () => {
    const part = hex(`00 7e 4000`);
    const first = hex(`01 7e 4000`);
    const bytes = Buffer.concat([
      first,
      Buffer.alloc(16_384),
      ...Array.from({ length: 4 }, () => [part, Buffer.alloc(16_384)]).flat(),
    ]);
    const { fault, reader } = read(false, bytes);
    assert.match(fault ?? '', /more than 70000 bytes/);
    assert.equal(reader.memory, 0);
  });

  it('are the same however the stream is cut', () => {
    const mask = fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 }), { nil: undefined });
    const message = fc.tuple(fc.uint8Array({ maxLength: 400 }), fc.nat(3), fc.boolean());
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 6 }),
        mask,
        fc.array(fc.nat(4000), { maxLength: 20 }),
        (all, key, places) => {
          const stream = Buffer.concat(
            all.map(([payload, fragments, ping]) =>
              frame(Buffer.from(payload), { mask: key, fragments, ping }),
            ),
          );
          const cuts = [
            0,
            ...places.map((place) => Math.min(place, stream.length)).sort((a, b) => a - b),
            stream.length,
          ];
          const reader = createWebSocketReader(key !== undefined, 70_000);
          const found: Buffer[] = [];
          for (let at = 1; at < cuts.length; at++) {
            const fault = reader.push(stream.subarray(cuts[at - 1], cuts[at]), (one) =>
              found.push(Buffer.from(one)),
            );
            assert.equal(fault, null);
          }
          assert.deepEqual(
            found,
            all.map(([payload]) => Buffer.from(payload)),
          );
        },
      ),
    );
  });

  it('throw nothing, whatever the bytes, and keep no more than a message', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }),
        fc.boolean(),
        (pieces, isMasked) => {
          const reader = createWebSocketReader(isMasked, 100);
          for (const piece of pieces) {
            reader.push(piece, (one) => assert.ok(one.length <= 100));
            assert.ok(reader.memory <= 100);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('WebSocket handshakes', () => {
  /** RFC 7118 section 6. */
  const request =
    'GET / HTTP/1.1\r\nHost: proxy.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://www.example.com\r\n' +
    'Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\n\r\n';
  const response =
    'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
    'Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n\r\n';

  it('are those that carry SIP', () => {
    const opens = (text: string, which: 'request' | 'response') =>
      opensWebSocket(Buffer.from(text), which, 'sip');
    assert.equal(opens(request, 'request'), true);
    assert.equal(opens(response, 'response'), true);
    assert.equal(opens(request.replace(': sip', ': msrp, SIP'), 'request'), true);
    assert.equal(opens(request, 'response'), false);
    assert.equal(opens(response.replace('101', '200'), 'response'), false);
    assert.equal(opens(response.replace(': sip', ': xmpp'), 'response'), false);
    assert.equal(opens(request.replace('Upgrade: websocket', 'Upgrade: h2c'), 'request'), false);
    assert.equal(opens('GET / HTTP/1.1\r\n\r\n', 'request'), false);
  });
});
