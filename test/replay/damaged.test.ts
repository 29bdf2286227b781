import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { defaults } from '../../src/config/load.ts';
import { type Frame, openCapture } from '../../src/intercept/capture.ts';
import { replayJson } from '../../src/report/replay/json.ts';
import { createReplay } from '../../src/report/replay/replay.ts';
import { replayText } from '../../src/report/replay/text.ts';
import { columnsOf, terminalStyle } from '../../src/report/style.ts';

const names = ['reinvite-moves-port', 'ice-bundle', 't38-fax', 'tcp-split', 'attack-rtp-spray'];
const captures = new Map<string, readonly Frame[]>(
  names.map((name) => {
    const path = fileURLToPath(new URL(`../../pcaps/${name}.pcap`, import.meta.url));
    return [name, [...openCapture(path)]];
  }),
);

/** What becomes of one frame: lost, cut, or some bytes of it changed; and how its time is off, in ms. */
const damage = fc.record({
  frame: fc.nat(250),
  cut: fc.option(fc.nat(1500), { freq: 4 }),
  bytes: fc.array(fc.tuple(fc.nat(1500), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
  late: fc.integer({ min: -5000, max: 5000 }),
});

describe('damaged packets', () => {
  it('never stop a replay, nor spoil what it writes', () => {
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.array(damage, { maxLength: 40 }), (name, damages) => {
        const frames = [...captures.get(name)!];
        for (const { frame, cut, bytes, late } of damages) {
          const one = frames[frame];
          if (one === undefined) continue;
          const copy = Buffer.from(one.bytes);
          for (const [at, value] of bytes) if (at < copy.length) copy[at] = value;
          frames[frame] = {
            ...one,
            bytes: cut === null ? copy : copy.subarray(0, cut),
            time: one.time + late,
          };
        }
        const { frame, finish } = createReplay({
          files: [name],
          settings: { ...defaults(), inside: 'any', trustMidstream: true },
          tunnels: true,
          sipPorts: null,
          window: { from: null, to: null },
        });
        for (const one of frames) frame(one);
        const report = finish([]);
        assert.equal(JSON.parse([...replayJson(report)].join('')).frames, frames.length);
        for (const { packets, passed, blocked, blocks } of report.media) {
          assert.equal(passed + blocked, packets);
          assert.equal(
            blocks.reduce((sum, one) => sum + one.packets, 0),
            blocked,
          );
        }
        const text = [...replayText(report, 'all', terminalStyle({}, {}))].join('');
        for (const line of text.split('\n')) {
          assert.doesNotMatch(line, /[\x00-\x1f\x7f-\x9f]/);
          assert.ok(columnsOf(line) <= 80, line);
        }
      }),
      { numRuns: 150 },
    );
  });
});
