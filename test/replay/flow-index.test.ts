import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { findUdp, newUdpPlace } from '../../src/packet/udp-place.ts';
import { createFlowIndex } from '../../src/report/replay/flow-index.ts';
import { udpPacket } from '../packets.ts';
import { host } from '../scene.ts';

const RAW = 101;
const FLOWS = 2000;
/** The multiplier of the index, and what it is multiplied by to be 1 in 32 bits. */
const MULTIPLIER = 0x9e3779b1;
const INVERSE = inverse(MULTIPLIER);

function inverse(odd: number): number {
  let found = odd;
  for (let times = 0; times < 5; times++) found = Math.imul(found, 2 - Math.imul(odd, found));
  return found;
}

function dotted(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');
}

/** Addresses that all come to one slot where nothing is secret: each destination is made for its source. */
function colliding(): Buffer[] {
  const ports = (4000 << 16) | 6000;
  return Array.from({ length: FLOWS }, (_, at) => {
    const source = 0x0a000000 + at;
    const hash = Math.imul(ports ^ source, MULTIPLIER) ^ (ports >>> 15);
    const destination = Math.imul(INVERSE, 0x1234 ^ (hash >>> 15)) ^ hash;
    return udpPacket(host(dotted(source), 4000), host(dotted(destination), 6000), Buffer.alloc(12));
  });
}

/** Bytes that are read of the frame to find it. */
function readsFor(index: ReturnType<typeof createFlowIndex<number>>, bytes: Buffer): number {
  const place = newUdpPlace();
  assert.ok(findUdp(RAW, bytes, 0, bytes.length, place));
  let reads = 0;
  const counted = new Proxy(bytes, {
    get(target, name) {
      reads++;
      return Reflect.get(target, name, target);
    },
  });
  assert.notEqual(index.find(counted, place), undefined);
  return reads;
}

describe('the index of known flows', () => {
  it('is not slow for flows that were chosen to be', () => {
    const frames = colliding();
    const index = createFlowIndex<number>(0x5eed_1e55);
    const place = newUdpPlace();
    for (const [at, bytes] of frames.entries()) {
      assert.ok(findUdp(RAW, bytes, 0, bytes.length, place));
      index.add(bytes, place, at);
    }
    const reads = frames.reduce((sum, bytes) => sum + readsFor(index, bytes), 0);
    assert.ok(reads / FLOWS < 200, `${reads / FLOWS} bytes read for each`);
  });
});
