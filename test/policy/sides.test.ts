import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Wanted } from '../../src/call/wanted.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';
import { createPolicy } from '../../src/policy/policy.ts';
import { networks, peerNetworks, settingsWith } from '../scene.ts';

const phone = '192.0.2.10';
const otherPhone = '192.0.2.11';
const trunk = '203.0.113.1';
const otherTrunk = '203.0.113.2';
const stranger = '198.51.100.66';

const { decide, review } = createPolicy(
  settingsWith({
    inside: networks('192.0.2.0/24'),
    outbound: true,
    peers: peerNetworks('203.0.113.0/24'),
  }),
);

/** A transport at the address of the party that announced it. */
function wanted(owner: string, peer: string): Wanted {
  return {
    slot: '0:0',
    media: 'audio',
    kind: 'rtp+rtcp',
    protocol: 'udp',
    owner,
    peer,
    connection: { kind: 'address', address: owner },
    ports: [40000, 40001],
    relayed: false,
    sources: [peer],
    sourcePort: null,
    candidate: false,
    agreed: true,
  };
}

function decided(owner: string, peer: string): string {
  const found = decide(wanted(owner, peer), '00000000000000aa');
  return 'reason' in found ? found.reason : found.direction;
}

function pinhole(owner: string, peer: string): Pinhole {
  const found = decide(wanted(owner, peer), '00000000000000aa');
  assert.ok(!('reason' in found), 'reason' in found ? found.detail : '');
  return found;
}

describe('who the other party of a pinhole may be', () => {
  test('the way in: one inside, or one of the peers; for a pinhole that is held from before, too', () => {
    const held = pinhole(phone, trunk);
    for (const [peer, reason] of [
      [otherPhone, null],
      [otherTrunk, null],
      [stranger, 'peer-not-allowed'],
    ] as const) {
      assert.equal(decided(phone, peer), reason ?? 'in', peer);
      assert.equal(review(held, phone, peer)?.reason ?? null, reason, peer);
    }
  });

  test('the way out: one inside, and nobody else; for a pinhole that is held from before, too', () => {
    const held = pinhole(trunk, phone);
    assert.equal(held.direction, 'out');
    for (const [peer, reason] of [
      [phone, null],
      [otherTrunk, 'not-inside'],
      [stranger, 'not-inside'],
    ] as const) {
      assert.equal(decided(trunk, peer), reason ?? 'out', peer);
      assert.equal(review(held, trunk, peer)?.reason ?? null, reason, peer);
    }
  });
});
