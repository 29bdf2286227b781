import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readRecords } from '../../src/daemon/data-path/records.ts';
import { type JournalRecord, openJournal, openJournalFiles } from '../../src/daemon/journal/journal.ts';
import { writeCall } from '../../src/inspector/record.ts';
import { createInspector } from '../../src/inspector.ts';
import { udpPacket } from '../packets.ts';
import { type Host, host, networks, sdp, settingsWith, sip } from '../scene.ts';

/**
 * Journals that are kept as they were written, at 1,010,000 ms of the writer's clock: version 1 of the records by commit
 * 8432088, versions 2 and 3 by those that brought them, version 4 from version 3, with what its m= lines had said. In each a call that is up with a fork that lost, one that rings (rtcp-mux,
 * a candidate), one that was refused, and a direction of a TCP connection.
 */
const fileOf = (version: number) => fileURLToPath(new URL(`versions/${version}.journal`, import.meta.url));
const LATEST = 4;
const WRITTEN = 1_010_000;
const phone = host('192.0.2.10');
const pbx = host('198.51.100.20');
const scribe = { machine: '0000000a', boot: 'one', now: () => WRITTEN, wall: () => 1.7e12 };

const directory = mkdtempSync(join(tmpdir(), 'version-1-'));
after(() => rmSync(directory, { recursive: true }));
let copies = 0;

function open(version: number, encoding = 'json') {
  const path = join(directory, `journal${++copies}`);
  copyFileSync(fileOf(version), path);
  chmodSync(path, 0o600);
  const complaints: string[] = [];
  const writer = { bootId: 'one', bootedAt: 1.7e12, now: () => WRITTEN, encoding, mostEnded: () => 100 };
  const { journal, records } = openJournal(openJournalFiles(path), writer, (text) => complaints.push(text));
  journal.close();
  return { records, complaints };
}

function read(records: readonly Pick<JournalRecord, 'bytes' | 'doubtful'>[]) {
  return readRecords(records, () => assert.fail('nothing is doubtful'), scribe);
}

/** Why the first of the records is refused with this in place of that. */
function withChange(version: number, from: string, to: string): string | null {
  const text = Buffer.from(open(version).records[0]!.bytes).toString();
  assert.ok(text.includes(from));
  return read([{ bytes: Buffer.from(text.replace(from, to)), doubtful: false }]).refused;
}

for (const version of [1, 2, 3, LATEST]) {
  describe(`a journal of version ${version}`, () => {
    const { records, complaints } = open(version);

    it('has every call with its pinholes, and the connection', () => {
      assert.deepEqual(complaints, []);
      const { calls, directions, refused } = read(records);
      assert.equal(refused, null);
      assert.deepEqual(
        calls.map(({ call, held }) => [
          ...[call.legId, call.callId, call.state, WRITTEN - call.startedAt],
          ...held.map(({ pinhole: { sources, ports } }) => `${sources} > ${ports.join('-')}`),
        ]),
        [
          [
            ...['ba007ce600000001', 'call-1@example.com', 'confirmed', 9999],
            '198.51.100.20,198.51.100.31 > 40000-40001',
          ],
          [
            ...['300c761000000002', 'ringing@example.com', 'ringing', 9995],
            ...['198.51.100.20 > 40010-40011', '198.51.100.20 > 40012-40012'],
          ],
          ['a8f2142e00000003', 'over@example.com', 'ended', 9993],
        ],
      );
      assert.deepEqual(directions, [
        { source: '192.0.2.10', sourcePort: 50_000, destination: '198.51.100.20', destinationPort: 5060 },
      ]);
    });

    it('lets its calls go on', () => {
      const settings = settingsWith({ inside: networks('192.0.2.0/24') });
      const inspector = createInspector(() => settings);
      inspector.adopt(read(records).calls, WRITTEN);
      const send = (from: Host, to: Host, text: string) =>
        inspector.inspect(udpPacket(from, to, text), WRITTEN + 1);
      const callId = 'ringing@example.com';
      const body = sdp(pbx.address, [{ port: 20_010, attributes: ['rtcp-mux'] }]);
      send(pbx, phone, sip('200 INVITE', { callId, to: 'r', body }));
      send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
      send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
      inspector.tick(WRITTEN + 2000);
      assert.deepEqual(
        [...inspector.calls()].map(({ state }) => state),
        ['ended', 'confirmed', 'ended'],
      );
      assert.deepEqual([...inspector.pinholes()].map(({ ports }) => ports.join('-')).sort(), [
        '40010-40010',
        '40012-40012',
      ]);
    });

    it('is refused by name where its version, its encoding or a field is not known', () => {
      const refused = (why: string) => `1 records are not taken up; the first: ${why}`;
      assert.equal(
        withChange(version, `"pinholed":${version}`, '"pinholed":5'),
        refused('it is of version 5, and only 1 to 4 are read here'),
      );
      const [inside, beside] = ['expected no record.call.mood', 'expected no record.mood'];
      assert.equal(withChange(version, '"call":{', '"call":{"mood":"good",'), refused(inside));
      assert.equal(withChange(version, '"machine"', '"mood":"good","machine"'), refused(beside));
      const other = open(version, 'json/2');
      assert.deepEqual(other.records, []);
      assert.match(other.complaints[0]!, /: nothing is taken up: expected encoding json\/2, found "json"$/);
    });
  });
}

it('the latest of them is what is written today: a shape that changes needs another version', () => {
  const { records } = open(LATEST);
  const texts = records.map(({ bytes }) => JSON.parse(Buffer.from(bytes).toString()));
  const written = read(records).calls.map((one) => JSON.parse(writeCall(one, scribe)));
  assert.deepEqual(
    written,
    texts.filter((one) => 'call' in one),
  );
});

it('the older ones say the same as the latest, but for the codecs of streams', () => {
  const latest = JSON.parse(JSON.stringify(read(open(LATEST).records)), (key, value) =>
    key === 'codecs' ? [] : value,
  );
  for (const version of [1, 2, 3]) {
    assert.deepEqual(JSON.parse(JSON.stringify(read(open(version).records))), latest);
  }
});
