import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createAlarmBoard } from '../../src/control/alarms.ts';
import type { DataPathStatus } from '../../src/daemon/messages.ts';
import { startInProcess } from './in-process.ts';

const DAY = 24 * 3600_000;
const START = Date.UTC(2026, 6, 1);
const usual = await startInProcess().daemon.ask({ type: 'status' });

/** The status of a daemon to which this has happened. */
function after({ lost = 0, missing = 0, notInside = 0, tooMany = 0 }): DataPathStatus {
  return {
    ...usual,
    missing,
    platform: { 'lost-queue-full': lost },
    inspector: { ...usual.inspector, refusals: { 'not-inside': notInside, 'calls-limit': tooMany } },
  };
}

describe('alarms', () => {
  it('are none when all is well, the far end of calls included', () => {
    assert.deepEqual(createAlarmBoard().look(after({ notInside: 400 }), START), []);
  });

  it('say since when they are, and when it happened last', () => {
    const board = createAlarmBoard();
    board.look(after({ lost: 2 }), START);
    board.look(after({ lost: 2 }), START + 10_000);
    const [alarm, ...others] = board.look(after({ lost: 5 }), START + 60_000);
    assert.deepEqual(others, []);
    assert.equal(alarm!.name, 'packets-lost');
    assert.match(alarm!.text, /^5 packets were lost/);
    assert.deepEqual([alarm!.since, alarm!.last], [START / 1000, START / 1000 + 60]);
    assert.equal(board.look(after({ lost: 5 }), START + 90_000)[0]!.last, START / 1000 + 60);
  });

  it('over what happened clear after a day without it, and count anew when it happens again', () => {
    const board = createAlarmBoard();
    board.look(after({ lost: 3 }), START);
    assert.equal(board.look(after({ lost: 3 }), START + DAY - 1).length, 1);
    assert.deepEqual(board.look(after({ lost: 3 }), START + DAY), []);
    const [again] = board.look(after({ lost: 4 }), START + 2 * DAY);
    assert.match(again!.text, /^1 packet was lost/);
    assert.equal(again!.since, (START + 2 * DAY) / 1000);
  });

  it('over what lasts clear with it, and no sooner', () => {
    const board = createAlarmBoard();
    assert.equal(board.look(after({ missing: 2 }), START).length, 1);
    assert.match(board.look(after({ missing: 1 }), START + 3 * DAY)[0]!.text, /^1 pinhole is wanted/);
    assert.deepEqual(board.acknowledge(after({ missing: 1 }), null, START + 3 * DAY), []);
    assert.equal(board.look(after({ missing: 1 }), START + 3 * DAY).length, 1);
    assert.deepEqual(board.look(after({}), START + 3 * DAY), []);
  });

  it('that were acknowledged are silent until it happens again', () => {
    const board = createAlarmBoard();
    const status = after({ lost: 3, tooMany: 7 });
    assert.equal(board.look(status, START).length, 2);
    assert.deepEqual(board.acknowledge(status, new Set(['calls-limit']), START), ['calls-limit']);
    assert.deepEqual(
      board.look(status, START).map(({ name }) => name),
      ['packets-lost'],
    );
    assert.deepEqual(board.acknowledge(status, null, START), ['packets-lost']);
    assert.deepEqual(board.look(status, START), []);
    const [again] = board.look(after({ lost: 3, tooMany: 9 }), START + 1000);
    assert.match(again!.text, /^2 times refused for calls-limit/);
  });

  it('tell of a supervisor that is gone before all else', () => {
    let gone = false;
    const board = createAlarmBoard({ isSupervisorGone: () => gone });
    assert.deepEqual(board.look(after({}), START), []);
    gone = true;
    const [first] = board.look(after({ lost: 1 }), START + 1000);
    assert.equal(first!.name, 'supervisor-gone');
    assert.deepEqual(board.acknowledge(after({ lost: 1 }), null, START + 2000), ['packets-lost']);
    assert.equal(board.look(after({ lost: 1 }), START + 2000)[0]!.since, START / 1000 + 1);
  });

  it('tell of a journal that cannot be written, for as long as that is so', () => {
    let behind = true;
    const board = createAlarmBoard({ isJournalBehind: () => behind });
    assert.deepEqual(
      board.look(after({}), START).map(({ name }) => name),
      ['journal-behind'],
    );
    assert.deepEqual(board.acknowledge(after({}), null, START), []);
    behind = false;
    assert.deepEqual(board.look(after({}), START + 1000), []);
    behind = true;
    assert.equal(board.look(after({}), START + 60_000)[0]!.since, START / 1000 + 60);
  });
});
