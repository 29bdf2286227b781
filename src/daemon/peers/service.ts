import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Settings } from '../../config/schema.ts';
import { RECORD_VERSION, type Scribe } from '../../inspector/record.ts';
import type { JournalRecord } from '../journal/journal.ts';
import type { Answers, CallEntry, Order, Question } from '../messages.ts';
import { StartError } from '../platform/platform.ts';
import { readSecret } from '../process/secret.ts';
import { memberId } from '../scribe.ts';
import { createGroup, type Group } from './group.ts';
import { createRedisStore, type RedisOptions } from './redis.ts';
import { isOver, readStamp } from './stamp.ts';
import type { Version } from './store.ts';

/** What the data path writes down of calls, and what it is told of them. */
export interface Exchange {
  readonly send: (order: Order) => void;
  /** Calls the methods with what comes from now on. */
  listen(listener: Pick<Group, 'entries' | 'seen' | 'report'>): void;
}

/** The daemon as far as its calls are shared. */
interface SharingDaemon {
  readonly exchange: Exchange;
  readonly settings: () => Settings;
  /** ms of the clock that every time of the data path is of. */
  readonly clock: () => number;
  say(level: 'warn' | 'info', text: string): void;
  ask(question: Extract<Question, { type: 'records' }>): Promise<Answers['records']>;
}

/** What shares the calls of a daemon with those of others, and says how that stands. */
export interface GroupService extends Pick<Group, 'status' | 'handOver' | 'ownerOf'> {
  start(daemon: SharingDaemon): void;
  /** The settings are others from now on. */
  reload(): void;
  close(): Promise<void>;
}

const SLICE = 25;
/** Bytes that a password or a PEM file may have. */
const LARGEST_FILE = 256 * 1024;

/**
 * Reads the password and the certificates, as root; null where nothing is shared. Throws StartError, with the setting at
 * fault. `identity`: as in the records of this firewall; `journal`: what it has.
 */
export function openGroup(
  settings: Settings,
  { machine, boot }: Pick<Scribe, 'machine' | 'boot'>,
  journal: readonly JournalRecord[],
): GroupService | null {
  const { url, others, sentinel, passwordFile, group: groupName, tls, name } = settings.peersStore;
  if (url === null) return null;
  const store: RedisOptions = {
    urls: [url, ...others],
    sentinel,
    password:
      passwordFile === null
        ? null
        : Buffer.from(readSecret(passwordFile, 'peers-store.password-file')).toString('utf8'),
    tls: {
      ca: pem('peers-store.tls.ca-file', tls.caFile),
      certificate: pem('peers-store.tls.certificate-file', tls.certificateFile),
      key: tls.keyFile === null ? null : secret('peers-store.tls.key-file', tls.keyFile),
      serverName: tls.serverName,
    },
    prefix: `{pinholed:${groupName}}:`,
  };
  const self = {
    machine: memberId({ machine }, name),
    name: (name ?? hostname()).slice(0, 32),
    records: RECORD_VERSION,
    boot,
    start: randomUUID(),
  };
  const ends = endsOf(journal);
  let group: Group | null = null;
  const begun = () => {
    if (group === null) throw new Error('the daemon is starting');
    return group;
  };
  return {
    status: () => begun().status(),
    handOver: (ms) => begun().handOver(ms),
    ownerOf: (legId) => group?.ownerOf(legId) ?? null,
    start(daemon) {
      group = createGroup({
        store: createRedisStore(store),
        self,
        ends,
        send: daemon.exchange.send,
        records: () => allRecords(daemon),
        clock: daemon.clock,
        say: daemon.say,
        most: () => daemon.settings().caps.backlog,
        confirms: () => daemon.settings().peersStore.confirm === 'peers',
        pause: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      });
      daemon.exchange.listen(group);
      group.run();
    },
    reload: () => group?.reload(),
    async close() {
      await group?.close();
    },
  };
}

/** The versions of calls that a journal has as over. */
export function endsOf(journal: Iterable<Pick<JournalRecord, 'key' | 'endedAt' | 'mark'>>): Version[] {
  const ends: Version[] = [];
  for (const { key, endedAt, mark } of journal) {
    const stamp = endedAt === null || mark === undefined ? null : readStamp(mark);
    if (stamp !== null && isOver(stamp)) ends.push({ name: key, stamp });
  }
  return ends;
}

async function* allRecords(daemon: SharingDaemon): AsyncIterable<readonly CallEntry[]> {
  let cursor: number | null = null;
  do {
    const slice: Answers['records'] = await daemon.ask({ type: 'records', cursor, limit: SLICE });
    // So many others walk the list that this walk was given up.
    if (slice === null) throw new Error('the calls cannot be read now');
    yield slice.items;
    cursor = slice.cursor;
  } while (cursor !== null);
}

function pem(key: string, path: string | null): string | null {
  return path === null ? null : readSmall(key, path, 0o022, 'writable by its owner alone');
}

function secret(key: string, path: string): string {
  return readSmall(key, path, 0o077, 'readable by its owner alone');
}

/** A regular file of root or of who runs this, none of whose `refused` mode bits is set. */
function readSmall(key: string, path: string, refused: number, expected: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw new StartError(`${key}: ${(error as Error).message}`, (error as NodeJS.ErrnoException).code);
  }
  try {
    const { mode, size, uid } = fstatSync(descriptor);
    const found = (mode & 0o777).toString(8).padStart(4, '0');
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || size > LARGEST_FILE) {
      throw new StartError(`${key}: ${path}: expected a regular file of at most ${LARGEST_FILE} bytes`);
    }
    if (uid !== 0 && uid !== process.geteuid?.()) {
      throw new StartError(`${key}: ${path}: expected root to own it, found user ${uid}`);
    }
    if ((mode & refused) !== 0) {
      throw new StartError(`${key}: ${path}: expected it to be ${expected}, found mode ${found}`);
    }
    return readFileSync(descriptor, 'utf8');
  } finally {
    closeSync(descriptor);
  }
}
