import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Frame } from '../../src/intercept/capture.ts';
import { assumeInside } from '../../src/report/replay/assume.ts';
import { udpPacket } from '../packets.ts';
import { host, sdp, sip } from '../scene.ts';

/** LINKTYPE_RAW. */
const RAW = 101;

function frames(...messages: readonly (readonly [from: string, to: string, text: string])[]): Frame[] {
  return messages.map(([from, to, text], index) => {
    const bytes = udpPacket(host(from), host(to), text);
    const frame = {
      file: 'f',
      number: index + 1,
      seconds: index,
      nanoseconds: 0,
      time: index,
      linkType: RAW,
    };
    return { ...frame, bytes, length: bytes.length } as unknown as Frame;
  });
}

const invite = sip('INVITE', { body: sdp('10.0.0.5', [4000]) });

describe('who is inside, where nobody said so', () => {
  it('is the private side, where it signals with the public one', () => {
    const inside = assumeInside(frames(['203.0.113.1', '10.0.0.5', invite]));
    assert.deepEqual(
      inside?.map(({ text }) => text),
      ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
    );
    assert.ok(assumeInside(frames(['fd00::5', '2001:db8::1', invite])) !== null);
  });

  it('is not known where both are public, or both private, or where no SIP goes between them', () => {
    assert.equal(assumeInside(frames(['203.0.113.1', '198.51.100.1', invite])), null);
    assert.equal(assumeInside(frames(['192.168.0.1', '10.0.0.5', invite])), null);
    assert.equal(assumeInside(frames(['203.0.113.1', '10.0.0.5', 'something else'])), null);
    assert.equal(assumeInside([]), null);
  });
});
