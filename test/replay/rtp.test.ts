import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createRtpMeter, meterRtp, type RtpStream, rtpStreams } from '../../src/report/replay/rtp.ts';
import { codecOf } from '../../src/sdp/codecs.ts';
import { replayFiles } from '../captures/replayed.ts';
import { sharedDir, withoutShared } from '../shared.ts';
import { withoutTshark } from '../tshark.ts';
import { rtp } from './film.ts';
import { streamKey, tsharkStreams } from './tshark-rtp.ts';

const own = fileURLToPath(new URL('../../pcaps/', import.meta.url));
const PUBLIC = [
  'NormB__sip-rtp-g711.pcap',
  'NormB__Asterisk_ZFONE_XLITE.pcap',
  'fulljackz__sip-rtp-opus.pcap',
  'goffinet__voip-extension.pcap',
  'ntop__FAX-Call-t38-CA-TDM-SIP-FB-1.pcap',
];

function streamsOf(file: string): ReadonlyMap<string, RtpStream> {
  return new Map(
    replayFiles([file]).media.flatMap((flow) =>
      flow.rtp.map(
        (one) =>
          [
            streamKey(flow.source, flow.sourcePort, flow.destination, flow.destinationPort, one.ssrc),
            one,
          ] as const,
      ),
    ),
  );
}

/**
 * tshark counts a packet that was sent again as one that came, and divides jitter by all packets, those that begin a
 * talk spurt among them; and it follows a stream from the SDP on alone. Telephone events have no jitter here.
 */
function compare(file: string): number {
  const mine = streamsOf(file);
  const theirs = tsharkStreams(file).filter(({ key, packets }) => {
    const one = mine.get(key);
    return one !== undefined && one.packets + one.repeated === packets;
  });
  for (const { key, lost, jitterMax, jitterMean } of theirs) {
    const one = mine.get(key)!;
    assert.equal(one.lost - one.repeated, lost, `${file} ${key}: lost`);
    if (one.jitterMax === null || one.codecs.length > 1) continue;
    assert.ok(
      Math.abs(one.jitterMax - jitterMax) < 0.002,
      `${file} ${key}: jitter ${one.jitterMax}, ${jitterMax}`,
    );
    assert.ok(Math.abs(one.jitterMean! - jitterMean) <= 0.05 * jitterMean + 0.001, `${file} ${key}: mean`);
  }
  return theirs.length;
}

describe('loss and jitter as tshark has them', { skip: withoutTshark }, () => {
  it('in the captures of this repository', () => {
    const files = readdirSync(own).filter((name) => name.endsWith('.pcap'));
    assert.ok(files.reduce((sum, name) => sum + compare(join(own, name)), 0) > 60);
  });

  it('in captures that others made', { skip: withoutShared }, () => {
    for (const name of PUBLIC) assert.ok(compare(join(sharedDir, 'captures/pcaps', name)) > 0, name);
  });
});

const PCMU = codecOf(null, 0);

function meterOf(sequences: readonly number[]): RtpStream {
  const meter = createRtpMeter();
  for (const [index, sequence] of sequences.entries()) meterRtp(meter, rtp(sequence), index * 20, () => PCMU);
  const [stream] = rtpStreams(meter);
  assert.ok(stream !== undefined);
  return stream;
}

describe('RTP of one source', () => {
  it('lost is what was expected and did not come (RFC 3550 A.3), over the turn of the numbers as well', () => {
    assert.equal(meterOf([1, 2, 5, 6]).lost, 2);
    assert.equal(meterOf([65_534, 65_535, 1, 2]).lost, 1);
  });

  it('late packets are not lost, and those that come again are not counted twice', () => {
    const late = meterOf([1, 2, 4, 3, 5]);
    assert.deepEqual([late.packets, late.lost, late.late, late.repeated], [5, 0, 1, 0]);
    const again = meterOf([1, 2, 2, 3, 1]);
    assert.deepEqual([again.packets, again.lost, again.repeated], [3, 0, 2]);
  });

  it('numbers that begin anew are no loss', () => {
    assert.equal(meterOf([1, 2, 3, 40_000, 40_001]).lost, 0);
  });

  it('jitter goes to the difference in transit time by a sixteenth (RFC 3550 A.8)', () => {
    const meter = createRtpMeter();
    for (const [sequence, at] of [
      [0, 0],
      [1, 20],
      [2, 56],
    ] as const) {
      meterRtp(meter, rtp(sequence), at, () => PCMU);
    }
    // D is 0, then 16 ms: J is 0, then 1 ms.
    assert.deepEqual([rtpStreams(meter)[0]!.jitterMax, rtpStreams(meter)[0]!.jitterMean], [1, 0.5]);
  });
});
