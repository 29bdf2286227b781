import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'sdp-transform';
import { readSdp } from '../../src/sdp/read.ts';
import type { Session } from '../../src/sdp/session.ts';
import { sharedDir, withoutShared } from '../shared.ts';

const sdpDir = `${sharedDir}/captures/sdp`;

/** Descriptions that are refused: why. All others are read. */
const REFUSED: Readonly<Record<string, string>> = {
  'pjsip-fuzz/sdp_input.6.sdp': 'bytes were lost between media type and port',
  'sofia-sip/message-1.sdp': 'v=1',
  'sofia-sip/message-6.sdp': 'no o=',
  'webrtc-fuzzer-corpus/unittest-3.sdp': 'begins with m=',
  'webrtc-fuzzer-corpus/unittest-6.sdp': 'begins with m=',
  'webrtc-fuzzer-corpus/unittest-7.sdp': 'begins with m=',
};

function eachDescription(
  visit: (name: string, text: string, answer: ReturnType<typeof readSdp>) => void,
): void {
  for (const collection of readdirSync(sdpDir)) {
    for (const name of readdirSync(`${sdpDir}/${collection}`)) {
      const bytes = readFileSync(`${sdpDir}/${collection}/${name}`);
      visit(`${collection}/${name}`, bytes.toString('latin1'), readSdp(bytes));
    }
  }
}

describe('descriptions of pjsip, sofia-sip and WebRTC', { skip: withoutShared }, () => {
  it('are read, but for a few that are refused for a reason', () => {
    const refused: string[] = [];
    let read = 0;
    eachDescription((name, _, answer) => {
      if ('error' in answer) refused.push(name);
      else read++;
    });
    assert.deepEqual(refused.sort(), Object.keys(REFUSED).sort());
    assert.ok(read > 70);
  });

  it('have a stream for each m= line, with the port on it', () => {
    eachDescription((name, text, answer) => {
      if ('error' in answer) return;
      const lines = text.split(/[\r\n]+/).filter((line) => line.startsWith('m='));
      assert.deepEqual(
        answer.streams.map(({ media, port, portCount, proto }) =>
          portCount === 1 ? `m=${media} ${port} ${proto}` : `m=${media} ${port}/${portCount} ${proto}`,
        ),
        lines.map((line) => line.split(' ').slice(0, 3).join(' ')),
        name,
      );
    });
  });

  it('say the same as sdp-transform says of the whole text', () => {
    eachDescription((name, text, answer) => {
      if (!('error' in answer)) assert.deepEqual(essence(answer), essenceBySdpTransform(text), name);
    });
  });
});

function essence(session: Session): unknown {
  return session.streams.map((stream) => ({
    direction: stream.direction,
    mid: stream.mid,
    setup: stream.setup,
    rtcp: stream.rtcp?.port,
    rtcpMux: stream.rtcpMux,
    bundleOnly: stream.bundleOnly,
    candidates: stream.candidates.map(({ component, port, type }) => [component, port, type]),
  }));
}

function essenceBySdpTransform(text: string): unknown {
  const session = parse(text);
  return session.media.map((media) => ({
    direction: media.direction ?? session.direction ?? 'sendrecv',
    mid: String(media.mid ?? ''),
    setup: media.setup ?? session.setup ?? '',
    rtcp: media.rtcp?.port,
    rtcpMux: media.rtcpMux !== undefined,
    bundleOnly: media.bundleOnly !== undefined,
    candidates: (media.candidates ?? [])
      .slice(0, 8)
      .map(({ component, port, type }) => [component, port, type]),
  }));
}
