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
/** A record of TLS (RFC 8446 5.1): of application data, unless told otherwise. */
const record = (length = 400, type = 0x17) =>
  Buffer.concat([Buffer.from([type, 3, 3, length >> 8, length & 0xff]), Buffer.alloc(length, 0xa5)]);
const DATA = record();
const HANDSHAKE = record(400, 0x16);

function createPlace(longest: number | null = HOLD) {
  let now = 1000;
  let handles = 0;
  const next = new Map<string, number>();
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
    /** What comes next on its connection, or what is sent from `at` on once more. */
    tls(name: string, from: Host, to: Host, payload: Buffer | string = DATA, at?: number) {
      const flow = `${from.address} ${from.port} ${to.address} ${to.port}`;
      const seq = at ?? next.get(flow) ?? 0xffff_ff00;
      next.set(flow, Math.max(next.get(flow) ?? 0, seq + payload.length));
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
    sift(tls('no message', pbx, provider));
    pass(HOLD);
    assert.deepEqual(sift(), ['no message']);
    pass(HOLD + 1);
    sift(tls('later', pbx, provider));
    copy(pbx, provider);
    assert.deepEqual(sift(), ['later'], 'what has no copy is not waited for longer than packets are');
  });

  it('do not wait in vain one after the other for one that had no copy', () => {
    const { tls, sift, copy, pass } = createPlace();
    sift(tls('no message', pbx, provider));
    pass(HOLD);
    assert.deepEqual(sift(), ['no message']);
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

  it('wait for as many copies as records end in them', () => {
    const { tls, sift, copy, holding, pass } = createPlace();
    sift(tls('ringing and answer', pbx, provider, Buffer.concat([DATA, DATA])));
    copy(pbx, provider);
    assert.deepEqual(sift(), []);
    copy(pbx, provider);
    assert.deepEqual(sift(), ['ringing and answer']);
    copy(pbx, provider);
    sift(tls('one copy came first', pbx, provider, Buffer.concat([DATA, DATA, DATA])));
    copy(pbx, provider);
    pass(HOLD);
    assert.deepEqual(sift(), ['one copy came first']);
    assert.deepEqual(holding.counters(), { heldEncrypted: 2, heldInVain: 1 });
    copy(pbx, provider);
    assert.deepEqual(sift(tls('next', pbx, provider)), [], 'the copy that was missing is no other’s');
    copy(pbx, provider);
    assert.deepEqual(sift(), ['next']);
  });

  it('wait with the last part of a record, also where its head is cut, or where another begins behind it', () => {
    const cuts = [1, 3, 5, 100, 404];
    for (const cut of cuts) {
      const { tls, sift, copy } = createPlace();
      assert.deepEqual(sift(tls('before', pbx, provider, HANDSHAKE)), ['before']);
      assert.deepEqual(sift(tls('begin', pbx, provider, DATA.subarray(0, cut))), ['begin'], `${cut}`);
      const rest = Buffer.concat([DATA.subarray(cut), DATA.subarray(0, cut)]);
      assert.deepEqual(sift(tls('end and begin', pbx, provider, rest)), [], `${cut}`);
      copy(pbx, provider);
      assert.deepEqual(sift(), ['end and begin'], `${cut}`);
      assert.deepEqual(sift(tls('end', pbx, provider, DATA.subarray(cut))), [], `${cut}`);
      copy(pbx, provider);
      assert.deepEqual(sift(), ['end'], `${cut}`);
    }
  });

  it('do not wait once more where they are sent once more, nor where a record is too short for a message', () => {
    const { tls, sift, copy } = createPlace();
    const at = 0xffff_ff00;
    sift(tls('answer', pbx, provider));
    assert.deepEqual(sift(tls('answer again', pbx, provider, DATA, at)), [], 'behind the first');
    copy(pbx, provider);
    assert.deepEqual(sift(), ['answer', 'answer again']);
    assert.deepEqual(sift(tls('once more', pbx, provider, DATA, at)), ['once more']);
    assert.deepEqual(sift(tls('keepalive', pbx, provider, record(28))), ['keepalive']);
    assert.deepEqual(
      sift(tls('more than once more', pbx, provider, Buffer.concat([record(28), DATA]), at + 405)),
      [],
    );
    copy(pbx, provider);
    assert.deepEqual(sift(), ['more than once more']);
  });

  it('are followed again where a segment is missing', () => {
    const { tls, sift, copy } = createPlace();
    sift(tls('first', pbx, provider));
    copy(pbx, provider);
    assert.deepEqual(sift(), ['first']);
    const missing = 0xffff_ff00 + 405;
    assert.deepEqual(
      sift(tls('in the midst of one', pbx, provider, DATA.subarray(50), missing + 50)),
      ['in the midst of one'],
      'nobody knows where it ends',
    );
    sift(tls('behind it', pbx, provider, DATA, missing + 405));
    copy(pbx, provider);
    assert.deepEqual(sift(), ['behind it']);
    assert.deepEqual(sift(tls('what was missing', pbx, provider, DATA, missing)), []);
    copy(pbx, provider);
    assert.deepEqual(sift(), ['what was missing']);
    assert.deepEqual(sift(tls('goes on', pbx, provider, DATA, missing + 810)), []);
    copy(pbx, provider);
    assert.deepEqual(sift(), ['goes on']);
  });

  it('pass all at once at the end, when it is switched off, and beyond what may wait', () => {
    const { tls, sift, holding } = createPlace();
    const many = Array.from({ length: 1100 }, (_, n) => tls(`${n}`, pbx, { ...provider, port: 1024 + n }));
    assert.equal(sift(...many).length, 1100 - 1024);
    assert.deepEqual(
      sift(
        tls('behind 5', pbx, { ...provider, port: 1029 }),
        tls('behind 7', pbx, { ...provider, port: 1031 }),
      ),
      ['5', 'behind 5'],
      'none overtakes what waits on its connection, and there is room again',
    );
    assert.deepEqual(holding.counters(), { heldEncrypted: 1025, heldInVain: 1 });
    assert.equal(holding.empty().length, 1024);
    assert.deepEqual(createPlace(null).sift(tls('off', pbx, provider)).length, 1);
  });
});
