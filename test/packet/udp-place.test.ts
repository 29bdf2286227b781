import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { type FrameInPlace, openCapture } from '../../src/intercept/capture.ts';
import { readPacket } from '../../src/packet/ip.ts';
import { findPacket } from '../../src/packet/link.ts';
import { findUdp, newUdpPlace } from '../../src/packet/udp-place.ts';
import { sharedDir, withoutShared } from '../shared.ts';

const own = fileURLToPath(new URL('../../pcaps', import.meta.url));
const place = newUdpPlace();

/** Whether it was found; if so, it is what the reader of packets has of the same frame. */
function isFound({
  linkType,
  bytes,
  start,
  end,
}: Pick<FrameInPlace, 'linkType' | 'bytes' | 'start' | 'end'>): boolean {
  if (!findUdp(linkType, bytes, start, end, place)) return false;
  const ip = findPacket(linkType, bytes.subarray(start, end));
  assert.ok(typeof ip !== 'string');
  assert.equal(place.ip, ip.byteOffset - bytes.byteOffset);
  const packet = readPacket(ip);
  assert.ok(typeof packet !== 'string');
  const payload = bytes.subarray(place.payload, place.end);
  assert.deepEqual(
    [packet.protocol, packet.missing, packet.fragment, packet.family === 6, packet.payload.equals(payload)],
    ['udp', 0, null, place.isIPv6, true],
  );
  assert.equal(packet.payload.byteOffset, payload.byteOffset);
  assert.deepEqual(
    [packet.sourcePort, packet.destinationPort],
    [bytes.readUInt16BE(place.payload - 8), bytes.readUInt16BE(place.payload - 6)],
  );
  return true;
}

/** How many frames of a file hold UDP as the reader of packets has it, and in how many it was found in its place. */
function compared(path: string): readonly [udp: number, found: number] {
  let [udp, found] = [0, 0];
  const reader = openCapture(path);
  while (reader.advance()) {
    const { linkType, bytes, start, end } = reader.present;
    const ip = findPacket(linkType, bytes.subarray(start, end));
    const packet = typeof ip === 'string' ? ip : readPacket(ip);
    if (typeof packet !== 'string' && packet.protocol === 'udp' && packet.missing === 0) udp++;
    if (isFound(reader.present)) found++;
  }
  return [udp, found];
}

describe('a datagram in its place', () => {
  it('is what the reader of packets has, in every frame of the captures of this repository', () => {
    for (const name of readdirSync(own).filter((one) => one.endsWith('.pcap'))) {
      const [udp, found] = compared(join(own, name));
      assert.equal(found, udp, name);
    }
  });

  it('and in captures that others made', { skip: withoutShared }, () => {
    let [all, those] = [0, 0];
    const directory = join(sharedDir, 'captures/pcaps');
    for (const name of readdirSync(directory)) {
      const [udp, found] = compared(join(directory, name));
      all += udp;
      those += found;
    }
    assert.ok(those > 0.9 * all, `${those} of ${all}`);
  });

  it('whatever the bytes', () => {
    const ipv4 = Buffer.from(
      '45000020 00010000 40110000 c0000201 c6336402 13c413c4 000c0000 01020304'.replaceAll(' ', ''),
      'hex',
    );
    const ipv6 = Buffer.concat([
      Buffer.from('60000000000c1140', 'hex'),
      Buffer.alloc(32, 1),
      ipv4.subarray(20),
    ]);
    const links: readonly (readonly [number, string])[] = [
      [1, '0200000000010200000000020800'],
      [1, '02000000000102000000000286dd'],
      [1, '02000000000102000000000281000005' + '0800'],
      [101, ''],
      [113, '00000001000600000000000000000800'],
      [276, '0800000000000002000100060000000000000000'],
      [0, '02000000'],
    ];
    fc.assert(
      fc.property(
        fc.constantFrom(...links),
        fc.boolean(),
        fc.array(fc.tuple(fc.nat(70), fc.nat(255)), { maxLength: 3 }),
        fc.nat(80),
        ([linkType, header], isIPv6, changes, length) => {
          const frame = Buffer.concat([Buffer.from(header, 'hex'), isIPv6 ? ipv6 : ipv4]);
          for (const [at, value] of changes) if (at < frame.length) frame[at] = value;
          const bytes = Buffer.concat([Buffer.alloc(3, 0xee), frame, Buffer.alloc(9, 0xee)]);
          isFound({ linkType, bytes, start: 3, end: 3 + Math.min(length + 20, frame.length) });
        },
      ),
      { numRuns: 3000 },
    );
    const whole = Buffer.concat([Buffer.from(links[0]![1], 'hex'), ipv4]);
    assert.ok(isFound({ linkType: 1, bytes: whole, start: 0, end: whole.length }));
    assert.ok(!isFound({ linkType: 1, bytes: whole, start: 0, end: whole.length - 1 }));
  });
});
