import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createRecorder, openRecording, recordingMemory } from '../../src/daemon/recording.ts';
import type { MessageHappening } from '../../src/inspector/happening.ts';

const SIZE = 4096;

function happening(
  callId: string,
  at: number,
  legIds: readonly string[] = ['00000000000000aa'],
): MessageHappening {
  return {
    type: 'message',
    message: {
      ...{ method: 'INVITE', status: 0, subject: 'sip:b', cseq: 1, cseqMethod: 'INVITE', branch: 'z' },
      ...{ callId, fromTag: 'f', toTag: '' },
    },
    transport: 'udp',
    packet: { source: '192.0.2.1', sourcePort: 5060, destination: '2001:db8::5', destinationPort: 5062 },
    description: null,
    legIds,
    at,
  };
}

function opened(size = SIZE) {
  const memory = recordingMemory(size);
  return { recorder: createRecorder(memory), recording: openRecording(memory) };
}

describe('a recording', () => {
  it('gives messages back as they were taken, oldest first', () => {
    const { recorder, recording } = opened();
    recorder.take(happening('one two  three', 1000.5, []), Buffer.from('first'));
    recorder.take(happening('b', 2000, ['x', 'y']), Buffer.from([0, 255, 10]));
    const [one, two, ...more] = [...recording.messages()];
    assert.deepEqual(more, []);
    const { bytes, ...rest } = one!;
    assert.deepEqual(rest, {
      ...{ at: 1000.5, transport: 'udp', source: '192.0.2.1', sourcePort: 5060 },
      ...{ destination: '2001:db8::5', destinationPort: 5062, legs: [], callId: 'one two  three' },
    });
    assert.equal(String(bytes()), 'first');
    assert.deepEqual([two!.legs, two!.callId, [...two!.bytes()!]], [['x', 'y'], 'b', [0, 255, 10]]);
  });

  it('keeps the latest in its memory, whatever their sizes, and no half of one', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 60 }), (sizes) => {
        const { recorder, recording } = opened();
        for (const [index, size] of sizes.entries()) {
          recorder.take(happening(`call-${index}`, index), Buffer.alloc(size, index));
          const kept = [...recording.messages()];
          const latest = index - kept.length + 1;
          for (const [place, { at, callId, bytes }] of kept.entries()) {
            assert.deepEqual([at, callId], [latest + place, `call-${latest + place}`]);
            assert.deepEqual(bytes(), Buffer.alloc(sizes[latest + place]!, latest + place));
          }
          const total = sizes.slice(0, index + 1).reduce((sum, one) => sum + one + 100, 0);
          assert.ok(
            kept.length > 0 && (total > SIZE || latest === 0),
            'nothing is given up while there is room',
          );
        }
      }),
    );
  });

  it('leaves out what would take a fourth of it', () => {
    const { recorder, recording } = opened();
    recorder.take(happening('a', 1), Buffer.from('kept'));
    recorder.take(happening('b', 2), Buffer.alloc(SIZE / 4));
    assert.deepEqual(
      [...recording.messages()].map(({ callId }) => callId),
      ['a'],
    );
  });

  it('tells a reader of nothing that was overwritten while it read', () => {
    const { recorder, recording } = opened();
    for (let index = 0; index < 5; index++)
      recorder.take(happening(`old-${index}`, index), Buffer.alloc(500, 1));
    const reader = recording.messages();
    const first = reader.next().value!;
    for (let index = 0; index < 7; index++)
      recorder.take(happening(`new-${index}`, index), Buffer.alloc(500, 2));
    assert.equal(first.bytes(), null);
    const rest = [...reader];
    assert.ok(rest.length > 0);
    for (const { callId, bytes } of rest) {
      assert.match(callId, /^new-/);
      assert.deepEqual(bytes(), Buffer.alloc(500, 2));
    }
  });
});
