import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { serialize } from 'node:v8';
import { readRecords } from '../../src/daemon/data-path/records.ts';
import { pinhole } from './doubles.ts';

const record = (...ports: number[]) =>
  serialize({ call: { hash: 'aa' }, held: ports.map((port) => ({ pinhole: pinhole(port) })) });
const portsOf = (records: ReturnType<typeof readRecords>) =>
  records.map(({ held }) => held.map((one) => one.pinhole.ports[0]));

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

  it('are left out when they are no records', () => {
    const journal = [{ bytes: Buffer.from('nonsense'), doubtful: false }];
    assert.deepEqual(
      readRecords(journal, () => []),
      [],
    );
  });
});
