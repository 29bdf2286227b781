import assert from 'node:assert/strict';
import { closeSync, readSync } from 'node:fs';
import { after, describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import { createSharedMemory } from '../../native-bindings/shared-memory.ts';
import { AT_HAND_SIZE, inherit, MOST_REMEMBERED } from '../../src/daemon/data-path/at-hand.ts';
import { createHeirloom, handedDown } from '../../src/daemon/process/handed-down.ts';
import type { HeldPacket, Succession } from '../../src/intercept/interceptor.ts';
import { fingerprintOf } from '../../src/packet/fingerprint.ts';

const libc = await loadLibc();
const complaints: string[] = [];

/** Handles that are told by four bytes. */
const succession: Succession = {
  wayOf: ({ handle }) => Uint8Array.of(handle, 1, 2, 3),
  takeOver: (bytes, way) => ({ bytes, handle: way[0]! }),
};

const packets = (...texts: string[]): HeldPacket[] =>
  texts.map((text, handle) => ({ bytes: Buffer.from(text), handle }));
const textOf = ({ bytes, handle }: HeldPacket) => `${handle} ${bytes}`;

/** The supervisor's end, with the data paths that it starts one after the other. */
function setUp({ waits = true } = {}) {
  let bound = 0;
  const bind = () => {
    bound++;
    return createSharedMemory(libc, 'in place of a socket', 1);
  };
  const heirloom = createHeirloom(libc, bind, waits, (text) => complaints.push(text));
  after(heirloom.close);
  return {
    heirloom,
    bound: () => bound,
    start() {
      const { descriptors, env } = heirloom.give();
      assert.deepEqual(handedDown(env), { atHand: 4, intake: 5 });
      const { atHand, inheritance } = inherit(libc, descriptors[0]!, succession);
      const { culprit, unread, remembered, deaths } = inheritance;
      return {
        atHand,
        found: {
          culprit:
            culprit === null ? null : `${textOf(culprit.packet)}${culprit.released ? ' released' : ''}`,
          unread: unread.map(textOf),
          remembered: [...remembered],
          deaths,
        },
      };
    },
  };
}

const print = (text: string) => fingerprintOf(Buffer.from(text));

describe('packets at hand', () => {
  it('are nothing at first, and nothing while none is in work', () => {
    const { start, heirloom } = setUp();
    const { atHand, found } = start();
    assert.deepEqual(found, { culprit: null, unread: [], remembered: [], deaths: 0 });
    atHand.take(packets('one', 'two'));
    atHand.done();
    assert.equal(heirloom.ended(true), 'none');
    assert.deepEqual(start().found, found);
  });

  it('name the packet that a data path died of, and keep the rest of the batch', () => {
    const { start, heirloom } = setUp();
    const { atHand } = start();
    atHand.take(packets('one', 'two', 'three'));
    atHand.released();
    atHand.begin(1);
    assert.equal(heirloom.ended(true), 'unread');
    const next = start();
    assert.deepEqual(next.found, {
      culprit: '1 two',
      unread: ['2 three'],
      remembered: [print('two')],
      deaths: 1,
    });
    assert.equal(heirloom.ended(true), 'none', 'it died before it had a packet');
    assert.deepEqual(start().found, { culprit: null, unread: [], remembered: [print('two')], deaths: 1 });
  });

  it('tell one that was released from one that was not', () => {
    const { start, heirloom } = setUp();
    const { atHand } = start();
    atHand.take(packets('one', 'two'));
    atHand.released();
    assert.equal(heirloom.ended(true), 'unread');
    const { culprit, unread } = start().found;
    assert.deepEqual({ culprit, unread }, { culprit: '0 one released', unread: ['1 two'] });
  });

  it('are read again after a kill from outside, but not twice', () => {
    const { start, heirloom } = setUp();
    start().atHand.take(packets('one', 'two'));
    assert.equal(heirloom.ended(false), 'read again');
    const second = start();
    assert.deepEqual(second.found, { culprit: null, unread: ['0 one', '1 two'], remembered: [], deaths: 0 });
    second.atHand.take(packets('one', 'two'));
    assert.equal(heirloom.ended(false), 'unread');
    assert.equal(start().found.culprit, '0 one');
  });

  it('are read again where two are killed over different packets', () => {
    const { start, heirloom } = setUp();
    start().atHand.take(packets('one', 'two'));
    assert.equal(heirloom.ended(false), 'read again');
    const { atHand } = start();
    atHand.take(packets('one', 'two'));
    atHand.released();
    atHand.begin(1);
    assert.equal(heirloom.ended(false), 'read again');
    assert.deepEqual(start().found.unread, ['1 two']);
  });

  it('after a kill from outside leave out what was released', () => {
    const { start, heirloom } = setUp();
    const { atHand } = start();
    atHand.take(packets('one', 'two'));
    atHand.released();
    assert.equal(heirloom.ended(false), 'read again');
    assert.deepEqual(start().found.unread, ['1 two']);
  });

  it('remember the latest only', () => {
    const { start, heirloom } = setUp();
    for (let n = 0; n < MOST_REMEMBERED + 3; n++) {
      start().atHand.take(packets(`packet ${n}`));
      assert.equal(heirloom.ended(true), 'unread');
    }
    const { remembered, deaths } = start().found;
    assert.equal(deaths, MOST_REMEMBERED + 3);
    const latest = Array.from({ length: MOST_REMEMBERED }, (_, n) => print(`packet ${n + 3}`));
    assert.deepEqual(new Set(remembered), new Set(latest));
  });

  it('hold the largest batch there can be', () => {
    const { start, heirloom } = setUp();
    const large = Array.from({ length: 64 }, (_, handle) => ({
      bytes: Buffer.alloc(65_535, handle),
      handle,
    }));
    const { atHand } = start();
    atHand.take(large);
    atHand.begin(62);
    assert.equal(heirloom.ended(true), 'unread');
    assert.deepEqual(start().found.unread, [textOf(large[63]!)]);
  });

  it('are forgotten with the socket that they came from', () => {
    for (const waits of [true, false]) {
      const { start, heirloom, bound } = setUp({ waits });
      start().atHand.take(packets('one'));
      heirloom.ended(false);
      heirloom.letGo();
      assert.deepEqual(start().found.unread, waits ? ['0 one'] : []);
      assert.equal(bound(), waits ? 1 : 2);
    }
  });

  it('may be anything: a data path is not trusted with them', () => {
    const descriptor = createSharedMemory(libc, 'nonsense', AT_HAND_SIZE);
    const { atHand } = inherit(libc, descriptor, {
      ...succession,
      wayOf: () => new Uint8Array(33),
    });
    atHand.take(packets('its way back is too long'));
    const count = Buffer.alloc(4);
    readSync(descriptor, count, 0, 4, 0);
    assert.equal(count.readUInt32LE(), 0);
    closeSync(descriptor);
  });

  it('are not asked for where there is nothing of a supervisor', () => {
    assert.deepEqual(handedDown({}), { atHand: null, intake: null });
    assert.deepEqual(complaints, []);
  });
});
