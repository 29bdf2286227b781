import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseAddress } from '../../src/address/address.ts';
import { CHUNK, KIND } from '../../src/intercept/hep/chunks.ts';
import { decodeHep } from '../../src/intercept/hep/decode.ts';
import { encodeHep, type ToMirror } from '../../src/intercept/hep/encode.ts';
import { createHepFramer } from '../../src/intercept/hep/framing.ts';
import type { Mirrored } from '../../src/packet/mirrored.ts';
import { KAMAILIO } from './hep-vectors.ts';

function decoded(bytes: Buffer): Mirrored {
  const copy = decodeHep(bytes);
  assert.ok(!('fault' in copy), JSON.stringify(copy));
  return copy;
}

function faultOf(bytes: Buffer): string {
  const copy = decodeHep(bytes);
  assert.ok('fault' in copy);
  return copy.fault;
}

const message: ToMirror = {
  source: { address: '192.0.2.10', port: 5061 },
  destination: { address: '198.51.100.1', port: 40000 },
  transport: 'tcp',
  kind: KIND.sip,
  seenAt: 1_800_000_000_123.456,
  agent: 2001,
  key: null,
  correlation: null,
  payload: Buffer.from('OPTIONS sip:a@b SIP/2.0\r\n\r\n'),
};

describe('HEP, read', () => {
  const kamailio: readonly (readonly [string, Buffer, number | null, string | null])[] = [
    ['version 3', KAMAILIO.version3, 1_795_765_710_839.841, 'secret'],
    ['version 2', KAMAILIO.version2, 1_795_765_716_208.133, null],
    ['version 1', KAMAILIO.version1, null, null],
  ];
  for (const [name, bytes, seenAt, key] of kamailio) {
    it(`kamailio's ${name}`, () => {
      const copy = decoded(bytes);
      const { source, sourcePort, destination, destinationPort, payload } = copy.packet;
      assert.deepEqual(
        [source, sourcePort, destination, destinationPort],
        ['127.0.0.1', 5099, '127.0.0.1', 5062],
      );
      assert.equal(payload.toString('latin1'), KAMAILIO.payload);
      assert.equal(copy.transport, 'udp');
      assert.equal(copy.isSip, true);
      assert.equal(copy.seenAt, seenAt);
      assert.equal(copy.key?.toString() ?? null, key);
    });
  }

  it('passes over chunks of other vendors and of types that it does not know', () => {
    const bytes = encodeHep(message)!;
    const foreign = Buffer.from('0002000f0008ffff 000000990007aa'.replaceAll(' ', ''), 'hex');
    const longer = Buffer.concat([bytes, foreign]);
    longer.writeUInt16BE(longer.length, 4);
    assert.deepEqual(decoded(longer).packet, decoded(bytes).packet);
  });

  it('says what is wrong', () => {
    const bytes = encodeHep(message)!;
    assert.match(faultOf(Buffer.alloc(0)), /no HEP/);
    assert.match(faultOf(Buffer.from('GET / HTTP/1.1\r\n\r\n')), /no HEP/);
    assert.match(faultOf(bytes.subarray(0, -1)), /a length of/);
    assert.match(
      faultOf(Buffer.concat([bytes.subarray(0, 6), Buffer.alloc(bytes.length - 6)])),
      /a chunk of 0/,
    );
    const without = (type: number) => {
      const copy = Buffer.from(bytes);
      for (let at = 6; at < copy.length; at += copy.readUInt16BE(at + 4)) {
        if (copy.readUInt16BE(at + 2) === type) copy.writeUInt16BE(0x7777, at + 2);
      }
      return copy;
    };
    assert.match(faultOf(without(CHUNK.payload)), /no payload/);
    assert.match(faultOf(without(CHUNK.sourceIPv4)), /no source/);
    assert.match(faultOf(without(CHUNK.destinationPort)), /destination port/);
    const short = Buffer.from(bytes);
    const at = short.indexOf(Buffer.from('00000007', 'hex'));
    short.writeUInt16BE(CHUNK.sourceIPv4, at + 2);
    assert.match(faultOf(short), /chunk 3 has 2 bytes/);
  });

  it('takes no time that is none, of version 3 and of version 2, and every other as it is', () => {
    const at = (bytes: Buffer, chunk: number) => bytes.indexOf(Buffer.from([0, 0, 0, chunk, 0, 10])) + 6;
    const version3 = (seconds: number, micros: number) => {
      const bytes = Buffer.from(encodeHep(message)!);
      bytes.writeUInt32BE(seconds, at(bytes, CHUNK.seconds));
      bytes.writeUInt32BE(micros, at(bytes, CHUNK.microseconds));
      return bytes;
    };
    const version2 = (seconds: number, micros: number) => {
      const bytes = Buffer.from(KAMAILIO.version2);
      bytes.writeUInt32LE(seconds, 16);
      bytes.writeUInt32LE(micros, 20);
      return bytes;
    };
    for (const make of [version3, version2]) {
      for (const seconds of [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
        assert.equal(decoded(make(seconds, 999_999)).seenAt, seconds * 1000 + 999.999);
        assert.match(faultOf(make(seconds, 1_000_000)), /1000000 microseconds/);
        assert.match(faultOf(make(seconds, 0xffff_ffff)), /4294967295 microseconds/);
      }
    }
  });

  it('has an IPv4 address for one that an IPv6 address maps, as a socket for both families says it', () => {
    const six = encodeHep({
      ...message,
      source: { address: '2001:db8::1', port: 5061 },
      destination: { address: '2001:db8::2', port: 5061 },
    })!;
    const mapped = (last: string) => Buffer.from(`${'0'.repeat(20)}ffff${last}`, 'hex');
    mapped('c000020a').copy(six, six.indexOf(Buffer.from('20010db8000000000000000000000001', 'hex')));
    mapped('c6336401').copy(six, six.indexOf(Buffer.from('20010db8000000000000000000000002', 'hex')));
    const { source, destination, family } = decoded(six).packet;
    assert.deepEqual([source, destination, family], ['192.0.2.10', '198.51.100.1', 4]);
  });

  it('of version 2 has IPv6 by the number that the system of its sender has for it', () => {
    const bytes = Buffer.concat([
      Buffer.from([2, 52, 0, 17, 0x13, 0xc4, 0x13, 0xc5]),
      Buffer.from('20010db800000000000000000000000120010db8000000000000000000000002', 'hex'),
      Buffer.alloc(12),
      Buffer.from('OPTIONS'),
    ]);
    for (const family of [10, 24, 28, 30]) {
      bytes[2] = family;
      const { source, destination, payload } = decoded(bytes).packet;
      assert.deepEqual(
        [source, destination, payload.toString()],
        ['2001:db8::1', '2001:db8::2', 'OPTIONS'],
        `${family}`,
      );
    }
    bytes[2] = 3;
    assert.match(faultOf(bytes), /address family 3/);
  });

  it('throws nothing, whatever the bytes, and points nowhere outside of them', () => {
    const mutated = fc
      .tuple(
        fc.constantFrom(KAMAILIO.version3, KAMAILIO.version2, encodeHep(message)!),
        fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 8 }),
        fc.nat(400),
      )
      .map(([bytes, changes, length]) => {
        const copy = Buffer.from(bytes.subarray(0, Math.max(1, length)));
        for (const [at, value] of changes) copy[at % copy.length] = value;
        return copy;
      });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }).map((one) => Buffer.from(one)),
          mutated,
        ),
        (bytes) => {
          const copy = decodeHep(bytes);
          if ('fault' in copy) return;
          const { payload, source, destination } = copy.packet;
          assert.ok(payload.length <= bytes.length);
          assert.equal(parseAddress(source), source);
          assert.equal(parseAddress(destination), destination);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

describe('HEP, written', () => {
  it('is what kamailio writes of the same message', () => {
    const ours = encodeHep({
      source: { address: '127.0.0.1', port: 5099 },
      destination: { address: '127.0.0.1', port: 5062 },
      transport: 'udp',
      kind: KIND.sip,
      seenAt: 1_795_765_710_839.841,
      agent: 7,
      key: Buffer.from('secret'),
      correlation: null,
      payload: Buffer.from(KAMAILIO.payload),
    });
    assert.equal(ours!.toString('hex'), KAMAILIO.version3.toString('hex'));
  });

  it('is read as it was meant', () => {
    const byte = fc.uint8Array({ maxLength: 200 });
    const addresses = fc.constantFrom(
      ['192.0.2.1', '198.51.100.7'] as const,
      ['2001:db8::1', '2001:db8:0:1::2'] as const,
    );
    const ports = fc.tuple(fc.nat(65_535), fc.nat(65_535));
    fc.assert(
      fc.property(
        ...([addresses, ports, byte, fc.option(byte), fc.constantFrom('udp', 'tcp'), fc.nat(4e9)] as const),
        ([from, to], [sourcePort, destinationPort], payload, key, transport, seconds) => {
          const copy = decoded(
            encodeHep({
              ...message,
              ...{ transport: transport as 'udp' | 'tcp', payload, key, seenAt: seconds * 1000 + 7 },
              source: { address: from, port: sourcePort },
              destination: { address: to, port: destinationPort },
            })!,
          );
          const { packet } = copy;
          assert.deepEqual([packet.source, packet.destination], [from, to]);
          assert.deepEqual([packet.sourcePort, packet.destinationPort], [sourcePort, destinationPort]);
          assert.ok(packet.payload.equals(payload));
          assert.ok(key === null ? copy.key === null : copy.key!.equals(key));
          assert.equal(copy.transport, transport);
          assert.equal(copy.seenAt, seconds * 1000 + 7);
        },
      ),
    );
  });

  it('is nothing where it would be too long', () => {
    assert.equal(encodeHep({ ...message, payload: Buffer.alloc(65_500) }), null);
    assert.equal(encodeHep({ ...message, payload: Buffer.alloc(70_000) }), null);
    assert.notEqual(encodeHep({ ...message, payload: Buffer.alloc(65_400) }), null);
  });
});

describe('HEP on a stream', () => {
  const messages = [
    KAMAILIO.version3,
    encodeHep(message)!,
    encodeHep({ ...message, payload: Buffer.alloc(9000) })!,
  ];
  const stream = Buffer.concat([...messages, ...messages]);

  it('is the same however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(stream.length), { maxLength: 40 }), (places) => {
        const cuts = [0, ...places.sort((a, b) => a - b), stream.length];
        const framer = createHepFramer();
        const found: string[] = [];
        for (let at = 1; at < cuts.length; at++) {
          const piece = stream.subarray(cuts[at - 1], cuts[at]);
          assert.equal(
            framer.push(piece, (one) => found.push(one.toString('hex'))),
            null,
          );
        }
        assert.deepEqual(
          found,
          [...messages, ...messages].map((one) => one.toString('hex')),
        );
      }),
    );
  });

  it('hands over nothing but whole messages, whatever comes on it and however it is cut', () => {
    const piece = fc.oneof(
      fc.constantFrom(...messages),
      fc.uint8Array({ maxLength: 40 }).map((one) => Buffer.from(one)),
      fc.tuple(fc.constantFrom(...messages), fc.nat(200), fc.nat(255)).map(([bytes, at, value]) => {
        const copy = Buffer.from(bytes);
        copy[at % copy.length] = value;
        return copy;
      }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 8 }),
        fc.array(fc.nat(20_000), { maxLength: 30 }),
        (pieces, at) => {
          const all = Buffer.concat(pieces);
          const cuts = [
            0,
            ...at.map((place) => Math.min(place, all.length)).sort((a, b) => a - b),
            all.length,
          ];
          const framer = createHepFramer();
          let passed = 0;
          let hasFault = false;
          for (let n = 1; n < cuts.length; n++) {
            const fault = framer.push(all.subarray(cuts[n - 1], cuts[n]), (one) => {
              assert.equal(one.readUInt16BE(4), one.length);
              assert.ok(
                one.equals(all.subarray(passed, passed + one.length)),
                'the bytes of the stream, in order',
              );
              passed += one.length;
              decodeHep(one);
            });
            assert.ok(!hasFault || fault !== null, 'and is given up for good');
            hasFault = fault !== null;
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('is given up where no message begins, and stays so', () => {
    for (const wrong of ['XEP3\0\x10', 'HEP3\0\x05', '\x02\x10\x02\x11\0\0\0\0']) {
      const framer = createHepFramer();
      const found: Buffer[] = [];
      const take = (one: Buffer) => void found.push(Buffer.from(one));
      const first = Buffer.concat([KAMAILIO.version3, Buffer.from(wrong, 'latin1')]);
      assert.notEqual(framer.push(first, take), null, wrong);
      assert.notEqual(framer.push(KAMAILIO.version3, take), null);
      assert.equal(found.length, 1);
    }
  });
});
