import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { journalFault, makeJournalDirectory } from '../../src/daemon/journal/directory.ts';
import { openJournalFiles } from '../../src/daemon/journal/journal.ts';
import { StartError } from '../../src/daemon/platform/platform.ts';
import { asUser } from '../../src/daemon/process/privileges.ts';
import { readFault } from '../../src/daemon/process/rights.ts';

/** nobody and nogroup of Debian; any ids would do. */
const USER = { name: 'nobody', uid: 65534, gid: 65534 };
const asRoot = { skip: process.geteuid?.() === 0 ? false : 'needs root' };

describe('the directory of the journal', () => {
  let top: string;
  let umask: number;
  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), 'pinholed-journal-'));
    chmodSync(top, 0o755);
    umask = process.umask(0o027);
  });
  afterEach(() => {
    process.umask(umask);
    rmSync(top, { recursive: true });
  });

  it('can be entered by the user that keeps the journal, whatever the umask', asRoot, () => {
    const path = join(top, 'db', 'pinholed', 'journal');
    makeJournalDirectory(path, USER);
    assert.equal(statSync(join(top, 'db')).mode & 0o777, 0o755);
    const made = statSync(join(top, 'db', 'pinholed'));
    assert.deepEqual([made.mode & 0o777, made.uid, made.gid], [0o700, USER.uid, USER.gid]);
    asUser(USER, () => openJournalFiles(path));
    assert.equal(journalFault(path, USER), null);
  });

  it('stays as it is when it is there', asRoot, () => {
    const directory = join(top, 'mine');
    mkdirSync(directory, 0o750);
    makeJournalDirectory(join(directory, 'journal'), USER);
    const found = statSync(directory);
    assert.deepEqual([found.mode & 0o777, found.uid], [0o750, 0]);
  });

  it('cannot be made below a file', () => {
    writeFileSync(join(top, 'file'), '');
    assert.throws(() => makeJournalDirectory(join(top, 'file', 'a', 'journal'), null), StartError);
  });
});

describe('a fault of the journal', asRoot, () => {
  let top: string;
  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), 'pinholed-journal-'));
    chmodSync(top, 0o755);
  });
  afterEach(() => rmSync(top, { recursive: true }));

  it('is a directory on the way that may not be entered', () => {
    mkdirSync(join(top, 'db'));
    mkdirSync(join(top, 'db', 'pinholed'));
    chmodSync(join(top, 'db'), 0o750);
    chownSync(join(top, 'db', 'pinholed'), USER.uid, USER.gid);
    const fault = journalFault(join(top, 'db', 'pinholed', 'journal'), USER);
    assert.equal(fault, `user nobody may not enter ${top}/db (mode 0750, owner 0)`);
    assert.equal(journalFault(join(top, 'db', 'pinholed', 'journal'), null), null);
  });

  it('is a directory that may not be written', () => {
    mkdirSync(join(top, 'pinholed'));
    chmodSync(join(top, 'pinholed'), 0o755);
    const fault = journalFault(join(top, 'pinholed', 'journal'), USER);
    assert.equal(fault, `user nobody may not write to ${top}/pinholed (mode 0755, owner 0)`);
  });

  it('is a file in the way', () => {
    writeFileSync(join(top, 'pinholed'), '');
    assert.match(journalFault(join(top, 'pinholed', 'journal'), USER)!, /to be a directory/);
  });

  it('is none where the start makes the directory', () => {
    assert.equal(journalFault(join(top, 'not', 'there', 'journal'), USER), null);
  });
});

describe('a file that the daemon reads as its user', asRoot, () => {
  let top: string;
  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), 'pinholed-rights-'));
    chmodSync(top, 0o755);
    writeFileSync(join(top, 'pinholed.yaml'), '');
  });
  afterEach(() => rmSync(top, { recursive: true }));

  /** What modes and owners say, beside what the kernel says to a process of that user. */
  for (const { mode, gid, isRead } of [
    { mode: 0o644, gid: 0, isRead: true },
    { mode: 0o640, gid: 0, isRead: false },
    { mode: 0o640, gid: USER.gid, isRead: true },
    { mode: 0o604, gid: USER.gid, isRead: false },
  ]) {
    it(`${isRead ? 'can' : 'cannot'} be read with mode 0${mode.toString(8)} and group ${gid}`, () => {
      const path = join(top, 'pinholed.yaml');
      chownSync(path, 0, gid);
      chmodSync(path, mode);
      const wanted = `user nobody may not read ${path} (mode 0${mode.toString(8)}, owner 0)`;
      assert.equal(readFault(path, USER), isRead ? null : wanted);
      assert.equal(canOpen(path), isRead);
      assert.equal(readFault(path, null), null);
    });
  }

  it('cannot be read in a directory that may not be entered', () => {
    chmodSync(top, 0o750);
    const path = join(top, 'pinholed.yaml');
    assert.equal(readFault(path, USER), `user nobody may not enter ${top} (mode 0750, owner 0)`);
    assert.equal(canOpen(path), false);
  });

  function canOpen(path: string): boolean {
    return spawnSync('cat', [path], { uid: USER.uid, gid: USER.gid }).status === 0;
  }
});
