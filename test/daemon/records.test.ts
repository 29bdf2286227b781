import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { serialize } from 'node:v8';
import { readRecords } from '../../src/daemon/data-path/records.ts';
import { directionEntry } from '../../src/daemon/journal/records.ts';
import { pinhole } from './doubles.ts';

const record = (...ports: number[]) =>
  serialize({ call: { hash: 'aa' }, held: ports.map((port) => ({ pinhole: pinhole(port) })) });
const portsOf = (records: ReturnType<typeof readRecords>) =>
  records.calls.map(({ held }) => held.map((one) => one.pinhole.ports[0]));

describe('records of a journal', () => {
  it('are taken as they are, without asking the packet filter, when all of it could be read', () => {
    const journal = [{ bytes: record(4000, 4002), doubtful: false }];
    assert.deepEqual(portsOf(readRecords(journal, () => assert.fail('it was asked'))), [[4000, 4002]]);
  });

  it('open nothing again that the packet filter has closed, where a later version may be missing', () => {
    const journal = [
      { bytes: record(4000, 4002), doubtful: true },
      { bytes: record(4010), doubtful: false },
    ];
    assert.deepEqual(portsOf(readRecords(journal, () => [pinhole(4002)])), [[4002], [4010]]);
  });

  it('of connections are taken but for those that ended, or may have', () => {
    const direction = {
      source: '10.0.1.10',
      sourcePort: 40_000,
      destination: '203.0.113.5',
      destinationPort: 5060,
    };
    const opened = directionEntry({ what: 'opened', direction }, 1).bytes;
    const closed = directionEntry({ what: 'closed', direction }, 2).bytes;
    const read = (bytes: Uint8Array, doubtful: boolean) =>
      readRecords([{ bytes, doubtful }], () => []).directions;
    assert.deepEqual(read(opened, false), [direction]);
    assert.deepEqual(read(closed, false), []);
    assert.deepEqual(read(opened, true), []);
  });

  it('are left out when they are no records', () => {
    const journal = [{ bytes: Buffer.from('nonsense'), doubtful: false }];
    assert.deepEqual(
      readRecords(journal, () => []),
      { calls: [], directions: [] },
    );
  });
});
