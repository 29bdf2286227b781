import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRecords } from '../../src/daemon/data-path/records.ts';
import { callEntry, directionEntry } from '../../src/daemon/journal/records.ts';
import type { Scribe } from '../../src/inspector/record.ts';
import { openingId } from '../../src/pinhole/opening.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';
import { createScene, host, sdp, sip } from '../scene.ts';

const scribe: Scribe = { machine: '0a0b0c0d', boot: null, now: () => 1_000_000, wall: () => 1.7e12 };
const phone = host('192.0.2.10');
const pbx = host('198.51.100.20');

/** A call with a pinhole towards the phone for each of these ports. */
function record(...ports: number[]): Buffer {
  const scene = createScene();
  scene.send(phone, pbx, sip('INVITE', { body: sdp(phone.address, ports) }));
  const [call] = scene.inspector.calls();
  const { text } = callEntry(scene.inspector.dump(call!.legId)!, { ...scribe, now: () => scene.now });
  return Buffer.from(text);
}

function pinhole(port: number): Pinhole {
  const opening = {
    direction: 'in' as const,
    protocol: 'udp' as const,
    sources: [pbx.address],
    sourcePort: null,
    address: phone.address,
    ports: [port, port + 1] as const,
    translation: null,
  };
  return { ...opening, id: openingId(opening), kind: null, media: '', label: '' };
}

const portsOf = (records: ReturnType<typeof readRecords>) =>
  records.calls.map(({ held }) => held.map((one) => one.pinhole.ports[0]));

describe('records of a journal', () => {
  it('are taken as they are, without asking the packet filter, when all of it could be read', () => {
    const journal = [{ bytes: record(4000, 4002), doubtful: false }];
    const read = readRecords(journal, () => assert.fail('it was asked'), scribe);
    assert.deepEqual(portsOf(read), [[4000, 4002]]);
    assert.equal(read.refused, null);
  });

  it('open nothing again that the packet filter has closed, where a later version may be missing', () => {
    const journal = [
      { bytes: record(4000, 4002), doubtful: true },
      { bytes: record(4010), doubtful: false },
    ];
    assert.deepEqual(portsOf(readRecords(journal, () => [pinhole(4002)], scribe)), [[4002], [4010]]);
  });

  it('of connections are taken but for those that ended, or may have', () => {
    const direction = {
      source: '10.0.1.10',
      sourcePort: 40_000,
      destination: '203.0.113.5',
      destinationPort: 5060,
    };
    const opened = directionEntry({ direction, closed: false }, scribe);
    const closed = directionEntry({ direction, closed: true }, scribe);
    assert.equal(opened.key, closed.key);
    assert.deepEqual([opened.endedAt, closed.endedAt], [null, scribe.now()]);
    const read = (text: string, doubtful: boolean) =>
      readRecords([{ bytes: Buffer.from(text), doubtful }], () => [], scribe).directions;
    assert.deepEqual(read(opened.text, false), [direction]);
    assert.deepEqual(read(closed.text, false), []);
    assert.deepEqual(read(opened.text, true), []);
  });

  it('are left out by name when they are no records', () => {
    const journal = [
      { bytes: Buffer.from('nonsense'), doubtful: false },
      { bytes: Buffer.from('{"pinholed":2}'), doubtful: false },
    ];
    assert.deepEqual(
      readRecords(journal, () => [], scribe),
      {
        calls: [],
        directions: [],
        stamps: new Map(),
        refused: '2 records are not taken up; the first: it is no record',
      },
    );
  });
});
