import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createHolding } from '../../src/daemon/data-path/holding.ts';
import type { HeldPacket } from '../../src/intercept/interceptor.ts';
import { tcpPacket, udpPacket } from '../packets.ts';
import { type Host, host } from '../scene.ts';

const pbx = host('192.168.1.10', 5061);
const desk = host('192.168.1.20', 50_000);
const provider = host('203.0.113.5', 40_000);
const other = host('203.0.113.6', 40_000);
const HOLD = 5;
/** A record of application data (RFC 8446 5.1), and one of the handshake. */
const DATA = `\x17\x03\x03\x00\x05`;
const HANDSHAKE = `\x16\x03\x03\x00\x05`;

function createPlace(longest: number | null = HOLD) {
  let now = 1000;
  let handles = 0;
  let seq = 0;
  const told = new Map<number, string>();
  const holding = createHolding({
    interceptor: {
      succession: {
        wayOf: ({ handle }) => Uint8Array.of(handle),
        takeOver: (bytes, [handle = 0]) => ({ bytes, handle }),
      },
    },
    longest: () => longest,
    isMirrored: (address) => address === pbx.address,
  });
  const named = (name: string, bytes: Buffer): HeldPacket => {
    told.set(++handles, name);
    return { bytes, handle: handles };
  };
  const sift = (...packets: HeldPacket[]) => holding.sift(packets, now).map(({ handle }) => told.get(handle));
  return {
    holding,
    sift,
    tls(name: string, from: Host, to: Host, payload = DATA) {
      seq += 10;
      return named(name, tcpPacket(from, to, { seq, payload }));
    },
    udp: (name: string, from: Host, to: Host) => named(name, udpPacket(from, to, 'OPTIONS')),
    copy: (from: Host, to: Host) => holding.copied(from.address, to.address, now),
    pass(ms: number) {
      now += ms;
    },
  };
}

describe('encrypted packets of a host that mirrors', () => {
  it('wait for the copy, and pass as they were', () => {
    const { tls, sift, copy, holding, pass } = createPlace();
    const packet = tls('answer', pbx, provider);
    const before = Buffer.from(packet.bytes);
    assert.deepEqual(sift(packet), []);
    packet.bytes.fill(0);
    assert.equal(holding.due(), 1000 + HOLD);
    pass(2);
    assert.deepEqual(sift(), []);
    copy(pbx, provider);
    const [released] = holding.sift([], 1002);
    assert.deepEqual(released!.bytes, before, 'what was received into is used again meanwhile');
    assert.equal(holding.due(), Number.POSITIVE_INFINITY);
    assert.deepEqual(holding.counters(), { heldEncrypted: 1, heldInVain: 0 });
  });

  it('pass when their time is over, whether a copy comes or not', () => {
    const { tls, sift, holding, pass } = createPlace();
    sift(tls('answer', pbx, provider));
    pass(HOLD - 1);
    assert.deepEqual(sift(), []);
    pass(1);
    assert.deepEqual(sift(), ['answer']);
    assert.deepEqual(holding.counters(), { heldEncrypted: 1, heldInVain: 1 });
  });

  it('do not wait where the copy came first, each copy for one of them', () => {
    const { tls, sift, copy, pass } = createPlace();
    copy(pbx, provider);
    assert.deepEqual(sift(tls('ringing', pbx, provider), tls('answer', pbx, provider)), ['ringing']);
    copy(pbx, provider);
    assert.deepEqual(sift(), ['answer']);
    copy(pbx, provider);
    pass(HOLD + 1);
    assert.deepEqual(
      sift(tls('later', pbx, provider)),
      [],
      'a copy that is older than packets wait is of another',
    );
  });

  it('do not pass with the copy of one that waited in vain', () => {
    const { tls, sift, copy, pass } = createPlace();
    sift(tls('ringing', pbx, provider));
    pass(HOLD);
    assert.deepEqual(sift(), ['ringing']);
    pass(1);
    copy(pbx, provider);
    assert.deepEqual(sift(tls('answer', pbx, provider)), [], 'that was the copy of the ringing');
    copy(pbx, provider);
    assert.deepEqual(sift(), ['answer']);
    sift(tls('keepalive', pbx, provider));
    pass(HOLD);
    assert.deepEqual(sift(), ['keepalive']);
    pass(HOLD + 1);
    sift(tls('later', pbx, provider));
    copy(pbx, provider);
    assert.deepEqual(sift(), ['later'], 'what has no copy is not waited for longer than packets are');
  });

  it('do not wait in vain one after the other for one that had no copy', () => {
    const { tls, sift, copy, pass } = createPlace();
    sift(tls('keepalive', pbx, provider));
    pass(HOLD);
    assert.deepEqual(sift(), ['keepalive']);
    copy(pbx, provider);
    assert.deepEqual(sift(tls('ringing', pbx, provider)), [], 'its copy may have been that of the keepalive');
    pass(HOLD);
    assert.deepEqual(sift(), ['ringing']);
    copy(pbx, provider);
    assert.deepEqual(sift(tls('answer', pbx, provider)), ['answer']);
  });

  it('wait for copies of their own pair of hosts', () => {
    const { tls, sift, copy } = createPlace();
    sift(tls('answer', pbx, provider));
    copy(pbx, other);
    copy(provider, pbx);
    assert.deepEqual(sift(), []);
    copy(pbx, provider);
    assert.deepEqual(sift(), ['answer']);
  });

  it('keep their order on a connection; no other packet waits', () => {
    const { tls, udp, sift, copy } = createPlace();
    const passed = sift(
      tls('hello', pbx, provider, HANDSHAKE),
      tls('first', pbx, provider),
      tls('rest of first', pbx, provider, 'cipher text'),
      udp('udp', pbx, provider),
      tls('from outside', provider, pbx),
      tls('of a host that mirrors nothing', desk, provider),
      tls('acknowledgement', pbx, provider, ''),
      tls('to another, in the middle', pbx, other, 'cipher text'),
    );
    assert.deepEqual(passed, [
      'hello',
      'udp',
      'from outside',
      'of a host that mirrors nothing',
      'to another, in the middle',
    ]);
    copy(pbx, provider);
    assert.deepEqual(sift(udp('next', pbx, provider)), ['first', 'rest of first', 'acknowledgement', 'next']);
  });

  it('pass all at once at the end, when it is switched off, and beyond what may wait', () => {
    const { tls, sift, holding } = createPlace();
    const many = Array.from({ length: 1100 }, (_, n) => tls(`${n}`, pbx, { ...provider, port: 1024 + n }));
    assert.equal(sift(...many).length, 1100 - 1024);
    assert.equal(holding.empty().length, 1024);
    assert.deepEqual(createPlace(null).sift(tls('off', pbx, provider)).length, 1);
  });
});
