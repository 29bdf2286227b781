import assert from 'node:assert/strict';
import {
  closeSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { crc32 } from '../../src/daemon/journal/crc32.ts';
import {
  JournalError,
  openJournal,
  openJournalFiles,
  type Writer,
} from '../../src/daemon/journal/journal.ts';

const directory = mkdtempSync(join(tmpdir(), 'pinholed-journal-'));
after(() => rmSync(directory, { recursive: true }));
let files = 0;
const newPath = () => join(directory, `journal${++files}`);

const writer: Writer = {
  bootId: 'boot-1',
  bootedAt: 1_000_000,
  now: () => 600_000,
  encoding: 'test/1',
  mostEnded: () => 100,
};
const keyOf = (index: number) => index.toString(16).padStart(16, '0');
const entry = (index: number, text = `call ${index}`, endedAt: number | null = null) => ({
  key: keyOf(index),
  endedAt,
  text,
});

function open(path: string, by: Partial<Writer> = {}) {
  const complaints: string[] = [];
  const files = openJournalFiles(path);
  const opened = openJournal(files, { ...writer, ...by }, (text) => complaints.push(text));
  return {
    ...opened,
    files,
    complaints,
    texts: opened.records.map(({ bytes }) => Buffer.from(bytes).toString()).sort(),
    doubtful: opened.records.flatMap(({ bytes, doubtful }) =>
      doubtful ? Buffer.from(bytes).toString() : [],
    ),
  };
}

/** The file that holds the journal now, of the two. */
function activeFile(path: string): string {
  return statSync(path).size > statSync(`${path}.1`).size ? path : `${path}.1`;
}

describe('journal', () => {
  it('gives back the last version of every call', () => {
    const path = newPath();
    const first = open(path);
    assert.deepEqual(first.texts, []);
    first.journal.append([entry(1), entry(2)]);
    first.journal.append([entry(1, 'call 1 again')]);
    first.journal.close();
    const second = open(path);
    assert.deepEqual(second.texts, ['call 1 again', 'call 2']);
    second.journal.append([entry(3)]);
    second.journal.close();
    assert.deepEqual(open(path).texts, ['call 1 again', 'call 2', 'call 3']);
  });

  it('gives back the mark that stands beside a record, through its own copies too', () => {
    const path = newPath();
    open(path).journal.append([{ ...entry(1), mark: '0.1.3.0000000a' }, entry(2)]);
    for (let times = 0; times < 2; times++) {
      const { records, texts, complaints, journal } = open(path);
      assert.deepEqual(complaints, []);
      assert.deepEqual(texts, ['call 1', 'call 2']);
      assert.deepEqual(
        records.map(({ key, mark }) => [key, mark]),
        [
          [keyOf(1), '0.1.3.0000000a'],
          [keyOf(2), undefined],
        ],
      );
      journal.close();
    }
  });

  it('needs no close: what was appended is there after a kill', () => {
    const path = newPath();
    open(path).journal.append([entry(1)]);
    assert.deepEqual(open(path).texts, ['call 1']);
  });

  it('forgets calls some minutes after their end, and all of them on clear', () => {
    const path = newPath();
    const { journal } = open(path);
    journal.append([entry(1, 'over', 200_000), entry(2, 'just over', 599_000), entry(3)]);
    const next = open(path);
    assert.deepEqual(next.texts, ['call 3', 'just over']);
    next.journal.clear();
    assert.deepEqual(open(path).texts, []);
  });

  it('tells apart the files of before and after a reboot', () => {
    const path = newPath();
    open(path).journal.append([entry(1)]);
    const rebooted = open(path, { bootId: 'boot-2' });
    assert.deepEqual(rebooted.texts, []);
    assert.match(rebooted.complaints[0]!, /written before the system was started/);
    rebooted.journal.append([entry(2)]);
    assert.deepEqual(open(path, { bootId: 'boot-2' }).texts, ['call 2']);
  });

  it('goes by the time of boot where there is no boot id', () => {
    const path = newPath();
    open(path, { bootId: null }).journal.append([entry(1)]);
    assert.deepEqual(open(path, { bootId: null, bootedAt: 1_000_900 }).texts, ['call 1']);
    assert.deepEqual(open(path, { bootId: null, bootedAt: 1_300_000 }).texts, []);
  });

  it('never takes up what a later moment of the same clock wrote', () => {
    const path = newPath();
    open(path).journal.append([entry(1)]);
    assert.deepEqual(open(path, { now: () => 1000 }).texts, []);
  });

  it('leaves a journal in another encoding alone', () => {
    const path = newPath();
    open(path).journal.append([entry(1)]);
    const other = open(path, { encoding: 'test/2' });
    assert.deepEqual(other.texts, []);
    assert.match(other.complaints[0]!, /expected encoding test\/2, found "test\/1"/);
  });

  it('does not grow without end, and loses nothing when it copies', () => {
    const path = newPath();
    const { journal } = open(path);
    const big = 'x'.repeat(64 * 1024);
    for (let round = 0; round < 400; round++) {
      journal.append([entry(round % 8, `${round} ${big}`), entry(100 + round, 'over', 0)]);
    }
    const bytes = statSync(path).size + statSync(`${path}.1`).size;
    assert.ok(bytes < 6 * 1024 * 1024, `${bytes} bytes for 8 calls of 64 KiB`);
    const rounds = open(path).texts.map((text) => Number(text.split(' ')[0]));
    assert.deepEqual(
      rounds.sort((a, b) => a - b),
      [392, 393, 394, 395, 396, 397, 398, 399],
    );
  });

  it('keeps so many ended calls at most, those that ended last', () => {
    const path = newPath();
    const { journal } = open(path);
    const over = Array.from({ length: 5000 }, (_, n) => entry(n, 'x'.repeat(2000), 590_000 + n));
    for (let at = 0; at < over.length; at += 50) journal.append(over.slice(at, at + 50));
    journal.append([entry(9999, 'live')]);
    const bytes = statSync(path).size + statSync(`${path}.1`).size;
    assert.ok(bytes < 6 * 1024 * 1024, `${bytes} bytes`);
    const { records, texts } = open(path);
    assert.equal(records.length, 101);
    assert.equal(texts[0], 'live');
    const few = open(path, { mostEnded: () => 2 });
    assert.equal(few.records.length, 3);
  });

  it('keeps to the old file until the new one is whole', () => {
    const path = newPath();
    const first = open(path);
    first.journal.append([entry(1), entry(2)]);
    const old = activeFile(path);
    const other = old === path ? `${path}.1` : path;
    const whole = readFileSync(old);
    copyFileSync(old, `${path}.saved`);
    open(path);
    const copied = readFileSync(other);
    assert.ok(copied.length > 0);
    for (let length = 0; length < copied.length; length++) {
      writeFileSync(old, whole);
      writeFileSync(other, copied.subarray(0, length));
      assert.deepEqual(open(path).texts, ['call 1', 'call 2'], `${length} bytes of the copy`);
    }
  });
});

describe('a damaged journal', () => {
  const path = newPath();
  open(path).journal.append([entry(1), entry(2), entry(3)]);
  const active = activeFile(path);
  const sound = readFileSync(active);
  const versions = ['call 1', 'call 2', 'call 3'];
  const damaged = (bytes: Buffer) => {
    const copy = newPath();
    writeFileSync(copy, bytes, { mode: 0o600 });
    return open(copy);
  };

  it('gives the calls before the place where it was cut off', () => {
    let most = 0;
    for (let length = 0; length < sound.length; length++) {
      const { texts, complaints } = damaged(sound.subarray(0, length));
      assert.deepEqual(texts, versions.slice(0, texts.length));
      assert.ok(texts.length >= most, 'a longer piece has no fewer calls');
      most = texts.length;
      assert.ok(complaints.length <= 1);
    }
    assert.equal(most, 2);
  });

  it('loses one call at most by any one byte that is changed, and says where it is', () => {
    for (let offset = 0; offset < sound.length; offset++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const bytes = Buffer.from(sound);
        bytes[offset]! ^= flip;
        const { texts, complaints, doubtful } = damaged(bytes);
        assert.ok(texts.length >= 2, `offset ${offset}: ${texts}`);
        assert.deepEqual(
          texts,
          versions.filter((version) => texts.includes(version)),
        );
        assert.match(complaints.join('\n'), /offset \d+: expected/, `byte ${offset} is not covered`);
        const lost = versions.findIndex((version) => !texts.includes(version));
        if (lost >= 0)
          assert.deepEqual(doubtful, versions.slice(0, lost), 'what was written before may be old');
      }
    }
  });

  it('doubts what is in front of a damage, and not what was written again behind it', () => {
    const again = newPath();
    const { journal } = open(again);
    journal.append([entry(1), entry(2), entry(3, 'x'.repeat(50)), entry(1, 'call 1 again')]);
    journal.close();
    const file = activeFile(again);
    const bytes = readFileSync(file);
    bytes[bytes.indexOf('xxxx')]! ^= 1;
    const { texts, doubtful } = damaged(bytes);
    assert.deepEqual(texts, ['call 1 again', 'call 2']);
    assert.deepEqual(doubtful, ['call 2']);
  });

  /** The frame of a call, in which all but what is drawn for its file is ASCII, as text. */
  function asciiFrame(): readonly [sync: string, rest: string] {
    // A float of eight bytes that are ASCII, within what is kept.
    const endedAt = 2 ** 19;
    for (let count = 0; ; count++) {
      const path = newPath();
      open(path).journal.append([entry(7, `inside ${count}`, endedAt)]);
      const file = readFileSync(activeFile(path));
      const frame = file.subarray(file.lastIndexOf(file.subarray(8, 16)));
      if (frame.subarray(8).every((byte) => byte < 0x80))
        return [frame.toString('latin1', 0, 8), frame.toString('latin1', 8)];
    }
  }

  it('does not take for a frame what a call has in it', () => {
    const [sync, fake] = asciiFrame();
    const outer = newPath();
    const { journal } = open(outer);
    journal.append([entry(1, sync + fake), entry(2)]);
    const bytes = readFileSync(activeFile(outer));
    bytes[bytes.indexOf(fake) - Buffer.byteLength(sync) - 14]! ^= 1;
    assert.deepEqual(damaged(bytes).texts, ['call 2']);
  });

  it('reads nothing from bytes that are no journal', () => {
    for (const bytes of [Buffer.alloc(4096), Buffer.from('#!/bin/sh\n'), Buffer.alloc(100, 0xff)]) {
      assert.deepEqual(damaged(bytes).texts, []);
    }
  });

  it('starts beside a file of any size', () => {
    const path = newPath();
    open(path);
    truncateSync(path, 2 ** 41);
    const { records, complaints } = open(path);
    assert.deepEqual(records, []);
    assert.ok(complaints.length <= 1, complaints.join());
  });

  it('can be written to again', () => {
    const { journal, files } = damaged(sound.subarray(0, sound.length - 3));
    journal.append([entry(9)]);
    assert.deepEqual(open(files.path).texts, ['call 1', 'call 2', 'call 9']);
  });
});

describe('a journal on a full disk', () => {
  it('goes on when there is room again, with nothing lost', { skip: withoutFull() }, () => {
    const path = newPath();
    const full = openSync('/dev/full', 'r+');
    const { descriptors } = openJournalFiles(path);
    const complaints: string[] = [];
    const writable: [number, number] = [descriptors[0], full];
    const { journal } = openJournal({ path, descriptors: writable }, writer, (text) => complaints.push(text));
    assert.match(complaints[0]!, /cannot be written.*ENOSPC|EINVAL/);
    assert.equal(journal.isBehind(), true);
    journal.append([entry(1)]);
    writable[1] = descriptors[1];
    journal.append([entry(2)]);
    assert.equal(journal.isBehind(), false);
    closeSync(full);
    assert.deepEqual(open(path).texts, ['call 1', 'call 2']);
    assert.match(complaints.at(-1)!, /written again/);
    assert.equal(complaints.length, 2);
  });
});

describe('journal files', () => {
  it('are for their owner alone', () => {
    const path = newPath();
    open(path);
    assert.deepEqual(
      [path, `${path}.1`].map((file) => statSync(file).mode & 0o777),
      [0o600, 0o600],
    );
  });

  it('are not opened through a symbolic link', () => {
    const path = newPath();
    const target = `${path}.target`;
    writeFileSync(target, 'precious', { mode: 0o600 });
    symlinkSync(target, path);
    assert.throws(() => openJournalFiles(path), /ELOOP|EMLINK/);
    const second = newPath();
    symlinkSync(target, `${second}.1`);
    assert.throws(() => openJournalFiles(second), JournalError);
    symlinkSync(`${path}.none`, `${path}.dangling`);
    assert.throws(() => openJournalFiles(`${path}.dangling`), JournalError);
    assert.equal(existsSync(`${path}.none`), false);
    assert.equal(readFileSync(target, 'utf8'), 'precious');
  });

  it('are not used when they have another name, other readers, or are no files', () => {
    const linked = newPath();
    writeFileSync(linked, '', { mode: 0o600 });
    linkSync(linked, `${linked}.other`);
    assert.throws(() => openJournalFiles(linked), /expected one name for it, found 2 links/);
    const readable = newPath();
    writeFileSync(readable, '', { mode: 0o644 });
    assert.throws(() => openJournalFiles(readable), /expected mode 0600, found 0644/);
    assert.throws(() => openJournalFiles('/dev/null'), /expected a regular file/);
    assert.throws(() => openJournalFiles(join(directory, 'none', 'journal')), /cannot be opened.*ENOENT/);
  });
});

describe('crc32', () => {
  it('is the CRC-32 of zlib', () => {
    assert.equal(crc32(Buffer.from('123456789')), 0xcbf43926);
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_, at) => (at * 7) & 0xff));
    assert.equal(crc32(bytes), zlibCrc32(bytes));
  });
});

function withoutFull(): string | false {
  try {
    closeSync(openSync('/dev/full', 'r+'));
    return false;
  } catch {
    return 'needs /dev/full';
  }
}
