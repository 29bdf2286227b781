import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { StaticMedia } from '../../src/address/static-media.ts';
import { type Segment, tcpPacket } from '../packets.ts';
import { type Host, host, networks } from '../scene.ts';
import { film } from './film.ts';

const pbx = host('192.168.1.10', 5061);
const provider = host('203.0.113.7', 40_000);
const [from, to] = [host('203.0.113.7', 20_000), host('192.168.1.10', 10_000)];
/** The first bytes of a ServerHello as OpenSSL 3 writes them. */
const SERVER_HELLO = Buffer.from('160303007a0200007603038e', 'hex');
const FIN = 0x01;
const trunk: StaticMedia = {
  ...{ name: 'trunk', peers: networks('203.0.113.7'), mediaFrom: null },
  ...{ hosts: ['192.168.1.10'], ports: [[10_000, 10_099]] },
};

/** Media before, during and after a connection of TLS that the host answered; what passed of each. */
function run(staticMedia: readonly StaticMedia[]) {
  const segment = (source: Host, destination: Host, given: Partial<Segment>) =>
    tcpPacket(source, destination, { seq: 1, ...given });
  const { media, calls } = film()
    .talk(0, from, to, 5)
    .packet(1, segment(provider, pbx, { payload: SERVER_HELLO }))
    .talk(1.1, from, to, 5)
    .packet(2, segment(pbx, provider, { payload: SERVER_HELLO }))
    .talk(2.1, from, to, 50)
    .talk(3.2, from, host(to.address, 9999), 2)
    .packet(4, segment(pbx, provider, { flags: FIN }))
    .talk(60, host(from.address, 20_002), to, 7)
    .run({ inside: networks('192.168.0.0/16'), sipPorts: [[5060, 5061]], staticMedia });
  return {
    calls: calls.map(({ callId }) => callId),
    counts: media.map(({ passed, blocked }) => [passed, blocked]),
  };
}

describe('a replay with static-media', () => {
  it('shows what its ports would let through, from the connection that opens them to its end', () => {
    const { calls, counts } = run([trunk]);
    assert.deepEqual(calls, ['static-media trunk 203.0.113.7']);
    assert.deepEqual(counts, [
      [50, 10],
      [0, 2],
      [0, 7],
    ]);
  });

  it('lets nothing through without', () => {
    const { calls, counts } = run([]);
    assert.deepEqual(calls, []);
    assert.deepEqual(counts, [
      [0, 60],
      [0, 2],
      [0, 7],
    ]);
  });
});
