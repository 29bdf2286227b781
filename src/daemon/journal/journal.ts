import { randomBytes } from 'node:crypto';
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { crc32 } from './crc32.ts';

/**
 * The journal keeps every call with its pinholes where a killed daemon finds them again. It is for the time
 * between two processes, not between two boots: nothing is synced to disk, and what another boot wrote is void.
 *
 * It is two files of frames, of which one is written at a time. When that has grown, all live calls are copied
 * to the other; a frame at the end of the copy makes it the valid one. So the journal is whole at every moment,
 * and neither a rename nor a right to write the directory is needed once the files are open.
 *
 * A file is `PINHOLED`, eight bytes that were drawn for this file and that nobody outside knows, the same again, then
 * frames: those eight bytes, length of the payload (u32), CRC-32 of kind and payload (u32), kind (u8), payload; little
 * endian. A reader finds the next frame by the eight bytes when one is damaged; the head stands there twice.
 */
export interface Journal {
  /** Writes down how these calls are now. Errors are told through `complain` and made up for by a later write. */
  append(entries: readonly JournalEntry[]): void;
  /** Whether what it was last told could not be written. */
  isBehind(): boolean;
  /** Forgets every call: an orderly stop that left nothing open. */
  clear(): void;
  close(): void;
}

/** One call; `endedAt` (ms) once it is over, null before. */
interface Kept {
  readonly key: string;
  readonly endedAt: number | null;
  /** What stands beside the record: at most 255 characters of ASCII. */
  readonly mark?: string;
}

/** A call as it is now. */
export interface JournalEntry extends Kept {
  /** Its record. */
  readonly text: string;
}

interface OpenedJournal {
  readonly journal: Journal;
  /** The calls as they were last written. */
  readonly records: readonly JournalRecord[];
}

export interface JournalRecord extends Kept {
  /** The record in UTF-8: a view of all that was read. */
  readonly bytes: Uint8Array;
  /** Something behind it could not be read: there may have been a later version, in which pinholes were closed. */
  readonly doubtful: boolean;
}

/** Who writes a journal; one written by another cannot be taken up. */
export interface Writer {
  /** Changes with every boot; null where the system has no such thing. */
  readonly bootId: string | null;
  /** ms since the epoch at which the monotonic clock was 0. */
  readonly bootedAt: number;
  /** The monotonic clock, in ms. */
  readonly now: () => number;
  /** Names the encoding of the records, which tell their version themselves. */
  readonly encoding: string;
  /** Ended calls that are kept; past it those go whose end is longest ago. */
  readonly mostEnded: () => number;
}

interface JournalFiles {
  readonly path: string;
  /** Descriptors of the two files, open for reading and writing. */
  readonly descriptors: readonly [number, number];
}

/** A journal that must not be used: a link, somebody else's file. The message is the line to print. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
}

const MAGIC = Buffer.from('PINHOLED');
const SYNC = 8;
const FILE_HEAD = MAGIC.length + 2 * SYNC;
/** Bytes of a frame before its payload, and up to where its checksum begins to count. */
const FRAME_HEAD = SYNC + 9;
const CHECKED_FROM = SYNC + 8;
const LARGEST_FRAME = 4 * 1024 * 1024;
/** Bytes of a file that are read: more than all calls that there may be, twice. */
const LARGEST_FILE = 1024 * 1024 * 1024;
const KEY_LENGTH = 16;
/** The payload of a call: its key, when it ended (f64 ms, NaN while it has not), the record. */
const CALL_HEAD = KEY_LENGTH + 8;
const NO_SYNC = Buffer.alloc(SYNC);
/** `marked` is a call with a mark: the length of that (u8) and it between the head and the record. */
const KIND = { head: 1, call: 2, complete: 3, marked: 4 } as const;
/** Bytes that a file may have before it is worth copying. */
const COMPACT_FROM = 4 * 1024 * 1024;
/** Bytes that are written into a new file at a time. */
const SPOOL = 256 * 1024;
/** ms that an ended call is kept, for retransmissions that come late. */
const ENDED_KEPT = 5 * 60_000;
/** Bytes kept in memory for a disk that takes none. */
const MOST_WAITING = 16 * 1024 * 1024;
/** How far two measurements of the time of boot may lie apart, in ms, where there is no boot id. */
const BOOT_TOLERANCE = 120_000;

/**
 * Opens the two files of the journal at `path` (`path` and `path.1`), mode 0600, as the user that the process is
 * at the moment. Never through a symbolic link; throws JournalError when a file is not plain and its owner's alone.
 */
export function openJournalFiles(path: string): JournalFiles {
  const first = openFile(path);
  try {
    return { path, descriptors: [first, openFile(`${path}.1`)] };
  } catch (error) {
    closeSync(first);
    throw error;
  }
}

function openFile(path: string): number {
  const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  let descriptor: number;
  try {
    descriptor = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  } catch (error) {
    throw new JournalError(`journal ${path} cannot be opened: ${errorText(error)}`);
  }
  const fault = fileFault(descriptor);
  if (fault === null) return descriptor;
  closeSync(descriptor);
  throw new JournalError(`journal ${path} is not used: ${fault}`);
}

function fileFault(descriptor: number): string | null {
  const { mode, nlink, uid } = fstatSync(descriptor);
  if ((mode & constants.S_IFMT) !== constants.S_IFREG) return 'expected a regular file';
  if (nlink !== 1) return `expected one name for it, found ${nlink} links`;
  if (uid !== process.geteuid?.()) {
    return `expected user ${process.geteuid?.()} to own it, found ${uid} (remove it to begin a new one)`;
  }
  if ((mode & 0o077) !== 0) return `expected mode 0600, found 0${(mode & 0o777).toString(8)}`;
  return null;
}

/**
 * Reads what is there and makes a fresh copy of it to go on from. What is damaged is left out and `complain` is
 * told; whatever the bytes, the daemon starts.
 */
export function openJournal(
  { path, descriptors }: JournalFiles,
  writer: Writer,
  complain: (text: string) => void,
): OpenedJournal {
  const readings = descriptors.map((descriptor) => readJournal(descriptor));
  const valid = readings.filter((reading) => reading.head !== null);
  valid.sort((a, b) => Number(b.complete) - Number(a.complete) || b.head!.generation - a.head!.generation);
  const reading = valid[0];
  let entries: readonly JournalRecord[] = [];
  if (reading !== undefined) {
    const fault = voidBecause(reading.head!, writer);
    if (fault !== null) complain(`journal ${path}: nothing is taken up: ${fault}`);
    else entries = worthKeeping([...reading.calls.values()], writer);
  }
  for (const { damage } of reading === undefined ? readings : [reading]) {
    if (damage === null) continue;
    const doubtful = entries.filter((entry) => entry.doubtful).length;
    complain(
      `journal ${path}: ${damage}; ${entries.length} calls are taken up, ${doubtful} of them with the pinholes only ` +
        'that are open still',
    );
  }
  const active = reading !== undefined && readings.indexOf(reading) === 1 ? 1 : 0;
  const generation = reading?.head?.generation ?? 0;
  const journal = createWriter(path, descriptors, active, generation, entries, writer, complain);
  return { journal, records: entries };
}

function worthKeeping(entries: readonly JournalRecord[], writer: Writer): JournalRecord[] {
  const kept = entries.filter((entry) => isWorthKeeping(entry, writer.now()));
  const ended = kept.flatMap(({ endedAt }) => endedAt ?? []).sort((one, other) => other - one);
  const earliest = ended.length <= writer.mostEnded() ? Number.NEGATIVE_INFINITY : ended[writer.mostEnded()]!;
  return kept.filter(({ endedAt }) => endedAt === null || endedAt > earliest);
}

function isWorthKeeping({ endedAt }: Pick<Kept, 'endedAt'>, now: number): boolean {
  return endedAt === null || endedAt >= now - ENDED_KEPT;
}

interface Head {
  readonly generation: number;
  readonly bootId: string | null;
  readonly bootedAt: number;
  readonly now: number;
  readonly encoding: string;
}

interface JournalReading {
  /** Null: not a journal at all. */
  readonly head: Head | null;
  readonly complete: boolean;
  readonly calls: ReadonlyMap<string, JournalRecord>;
  /** Where the file cannot be read first, why, and how many such places there are; null when all of it can. */
  readonly damage: string | null;
}

function voidBecause(head: Head, writer: Writer): string | null {
  if (head.encoding !== writer.encoding) {
    return `expected encoding ${writer.encoding}, found ${JSON.stringify(head.encoding.slice(0, 40))}`;
  }
  const sameBoot =
    head.bootId !== null && writer.bootId !== null
      ? head.bootId === writer.bootId
      : Math.abs(head.bootedAt - writer.bootedAt) <= BOOT_TOLERANCE;
  return sameBoot && head.now <= writer.now() ? null : 'it was written before the system was started';
}

function readJournal(descriptor: number): JournalReading {
  const begin = readUpTo(descriptor, FILE_HEAD);
  const nothing = { head: null, complete: false, calls: new Map<string, JournalRecord>() };
  if (begin.length === 0) return { ...nothing, damage: null };
  const syncs = [
    begin.subarray(MAGIC.length, MAGIC.length + SYNC),
    begin.subarray(FILE_HEAD - SYNC, FILE_HEAD),
  ];
  const [one, other] = syncs as [Buffer, Buffer];
  const isOurs = begin.subarray(0, MAGIC.length).equals(MAGIC);
  if (begin.length < FILE_HEAD || (!isOurs && (!one.equals(other) || one.equals(NO_SYNC)))) {
    return { ...nothing, damage: 'offset 0: expected PINHOLED, found something else' };
  }
  const file = readUpTo(descriptor, LARGEST_FILE);
  const sync = one.equals(other) || file.indexOf(one, FILE_HEAD) >= 0 ? one : other;
  const wrong = isOurs ? (one.equals(other) ? null : MAGIC.length) : 0;
  return readFrames(file, sync, wrong);
}

/** `wrong` is where in front of the frames a damage is. */
function readFrames(file: Buffer, sync: Buffer, wrong: number | null): JournalReading {
  const found = new Map<
    string,
    { readonly offset: number; readonly entry: Omit<JournalRecord, 'doubtful'> }
  >();
  let head: Head | null = null;
  let complete = false;
  let first = wrong === null ? null : `offset ${wrong}: expected a sound beginning`;
  let places = wrong === null ? 0 : 1;
  let lastWrong = -1;
  let offset = FILE_HEAD;
  while (offset < file.length) {
    const frame = readFrame(file, offset, sync);
    if (!frame.ok) {
      first ??= `offset ${offset}: expected ${frame.expected}`;
      places++;
      lastWrong = offset;
      const next = file.indexOf(sync, offset + 1);
      offset = next < 0 ? file.length : next;
      continue;
    }
    const { kind, payload } = frame;
    if (kind === KIND.head) {
      head ??= readHead(payload);
    } else if (kind === KIND.call || kind === KIND.marked) {
      const entry = readEntry(payload, kind === KIND.marked);
      if (entry !== null) found.set(entry.key, { offset, entry });
    } else if (kind === KIND.complete) {
      complete = true;
    }
    offset += FRAME_HEAD + payload.length;
  }
  const calls = new Map<string, JournalRecord>();
  for (const [key, one] of found) calls.set(key, { ...one.entry, doubtful: one.offset < lastWrong });
  if (head === null) first ??= `offset ${FILE_HEAD}: expected a head`;
  const damage = places > 1 ? `${first}, and ${places - 1} more places cannot be read` : first;
  return { head, complete, calls, damage };
}

type Frame =
  | { readonly ok: true; readonly kind: number; readonly payload: Buffer }
  | { readonly ok: false; readonly expected: string };

function readFrame(file: Buffer, offset: number, sync: Buffer): Frame {
  if (offset + FRAME_HEAD > file.length) return { ok: false, expected: 'a whole frame, the file ends' };
  if (!file.subarray(offset, offset + SYNC).equals(sync))
    return { ok: false, expected: 'the beginning of a frame' };
  const length = file.readUInt32LE(offset + SYNC);
  const end = offset + FRAME_HEAD + length;
  if (length > LARGEST_FRAME)
    return { ok: false, expected: `a frame of at most ${LARGEST_FRAME} bytes, found ${length}` };
  if (end > file.length) return { ok: false, expected: 'a whole frame, the file ends' };
  if (crc32(file.subarray(offset + CHECKED_FROM, end)) !== file.readUInt32LE(offset + SYNC + 4)) {
    return { ok: false, expected: 'a frame with the right checksum' };
  }
  return { ok: true, kind: file[offset + CHECKED_FROM]!, payload: file.subarray(offset + FRAME_HEAD, end) };
}

function readHead(payload: Buffer): Head | null {
  try {
    const head = JSON.parse(payload.toString('utf8')) as Head;
    const sound =
      Number.isSafeInteger(head.generation) &&
      typeof head.bootedAt === 'number' &&
      typeof head.now === 'number' &&
      typeof head.encoding === 'string';
    return sound ? head : null;
  } catch {
    return null;
  }
}

/** What a file begins with, `most` bytes of it at most. */
function readUpTo(descriptor: number, most: number): Buffer {
  const file = Buffer.alloc(Math.min(fstatSync(descriptor).size, most));
  let length = 0;
  for (let count = -1; count !== 0 && length < file.length; length += count) {
    count = readSync(descriptor, file, length, file.length - length, length);
  }
  return file.subarray(0, length);
}

/** A frame for any file: what `sealed` puts in front of it is that file's own. */
function frame(kind: number, ...parts: readonly Uint8Array[]): Buffer {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = Buffer.allocUnsafe(FRAME_HEAD + length);
  bytes.writeUInt32LE(length, SYNC);
  bytes[CHECKED_FROM] = kind;
  let at = FRAME_HEAD;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(CHECKED_FROM)), SYNC + 4);
  return bytes;
}

function sealed(bytes: Buffer, sync: Buffer): Buffer {
  bytes.set(sync);
  return bytes;
}

function callFrame({ key, endedAt, mark = '' }: Kept, bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(CALL_HEAD);
  head.write(key, 'latin1');
  head.writeDoubleLE(endedAt ?? Number.NaN, KEY_LENGTH);
  if (mark === '') return frame(KIND.call, head, bytes);
  const beside = Buffer.from(`\0${mark}`, 'latin1');
  beside[0] = mark.length;
  return frame(KIND.marked, head, beside, bytes);
}

/** Null where the payload is too short. */
function readEntry(payload: Buffer, isMarked: boolean): Omit<JournalRecord, 'doubtful'> | null {
  if (payload.length < CALL_HEAD + Number(isMarked)) return null;
  const endedAt = payload.readDoubleLE(KEY_LENGTH);
  const from = CALL_HEAD + (isMarked ? 1 + payload[CALL_HEAD]! : 0);
  if (payload.length < from) return null;
  return {
    key: payload.toString('latin1', 0, KEY_LENGTH),
    endedAt: Number.isNaN(endedAt) ? null : endedAt,
    bytes: payload.subarray(from),
    ...(isMarked && { mark: payload.toString('latin1', CALL_HEAD + 1, from) }),
  };
}

/** A call as it goes into the file. */
interface CallFrame {
  readonly key: string;
  readonly endedAt: number | null;
  readonly frame: Buffer;
}

/** Where a call lies in the active file, as it was last written. */
interface FrameOffset {
  readonly offset: number;
  readonly length: number;
  readonly endedAt: number | null;
}

function createWriter(
  path: string,
  descriptors: readonly [number, number],
  last: 0 | 1,
  lastGeneration: number,
  initial: readonly JournalRecord[],
  writer: Writer,
  complain: (text: string) => void,
): Journal {
  let active = last;
  let generation = lastGeneration;
  /** Whether the active file is one of ours already. */
  let begun = false;
  let sync: Buffer = NO_SYNC;
  /** Ended calls in the active file, in the order in which they were written. */
  let ended = new Set<string>();
  let size = 0;
  let copyFrom = COMPACT_FROM;
  let places = new Map<string, FrameOffset>();
  /** What the disk did not take yet. */
  let waiting: CallFrame[] = [];
  let waitingBytes = 0;
  let failing = false;

  /** Writes these calls into the other file, each before the next is asked for, and goes on there. */
  function startFile(frames: Iterable<CallFrame>): void {
    const target = active === 0 ? 1 : 0;
    const { bootId, bootedAt, now, encoding } = writer;
    const head: Head = { generation: generation + 1, bootId, bootedAt, now: now(), encoding };
    const drawn = randomBytes(SYNC);
    const headFrame = sealed(frame(KIND.head, Buffer.from(JSON.stringify(head))), drawn);
    ftruncateSync(descriptors[target], 0);
    const out = createSpool(descriptors[target]);
    for (const part of [MAGIC, drawn, drawn, headFrame, headFrame]) out.put(part);
    const next = new Map<string, FrameOffset>();
    const over = new Set<string>();
    for (const { key, endedAt, frame: bytes } of frames) {
      next.set(key, { offset: out.put(sealed(bytes, drawn)), length: bytes.length, endedAt });
      if (endedAt !== null) over.add(key);
    }
    out.put(sealed(frame(KIND.complete), drawn));
    size = out.end();
    ftruncateSync(descriptors[active], 0);
    active = target;
    generation++;
    places = next;
    ended = over;
    sync = drawn;
    copyFrom = Math.max(COMPACT_FROM, size * 2);
  }

  function compact(): void {
    copyFrom = size * 2;
    startFile(worthCopying());
  }

  /** Calls as they lie in the active file; each frame holds until the next is asked for. */
  function* worthCopying(): Generator<CallFrame> {
    const now = writer.now();
    let room = Buffer.allocUnsafe(SPOOL);
    for (const [key, { offset, length, endedAt }] of places) {
      if (!isWorthKeeping({ endedAt }, now)) continue;
      if (length > room.length) room = Buffer.allocUnsafe(length);
      if (readSync(descriptors[active], room, 0, length, offset) !== length) continue;
      yield { key, endedAt, frame: room.subarray(0, length) };
    }
  }

  function add(call: Kept, record: Uint8Array): void {
    const made = callFrame(call, record);
    if (made.length > LARGEST_FRAME) return;
    waiting.push({ key: call.key, endedAt: call.endedAt, frame: made });
    waitingBytes += made.length;
  }

  function attempt(): void {
    try {
      if (begun) write();
      else startFile(lastOfEach(waiting));
      begun = true;
      waiting = [];
      waitingBytes = 0;
      if (size >= copyFrom) compact();
      if (failing) complain(`journal ${path}: written again`);
      failing = false;
    } catch (error) {
      if (!failing) {
        complain(`journal ${path} cannot be written, calls would not outlive a restart: ${errorText(error)}`);
      }
      failing = true;
      if (waitingBytes > MOST_WAITING) {
        waiting = withinBytes(lastOfEach(waiting), MOST_WAITING);
        waitingBytes = bytesOf(waiting);
      }
    }
  }

  function write(): void {
    try {
      writeAll(descriptors[active], Buffer.concat(waiting.map((one) => sealed(one.frame, sync))), size);
    } catch (error) {
      ftruncateSync(descriptors[active], size);
      throw error;
    }
    for (const { key, endedAt, frame: bytes } of waiting) {
      places.set(key, { offset: size, length: bytes.length, endedAt });
      size += bytes.length;
      ended.delete(key);
      if (endedAt !== null) ended.add(key);
    }
    forgetEnded();
  }

  /** Past the bound those go that ended first; the next copy is without them. */
  function forgetEnded(): void {
    for (const key of ended) {
      if (ended.size <= writer.mostEnded()) return;
      ended.delete(key);
      places.delete(key);
    }
  }

  for (const one of initial) add(one, one.bytes);
  attempt();

  return {
    append(entries) {
      for (const entry of entries) add(entry, Buffer.from(entry.text, 'utf8'));
      if (waiting.length > 0) attempt();
    },
    isBehind: () => failing,
    clear() {
      waiting = [];
      waitingBytes = 0;
      begun = false;
      attempt();
    },
    close() {
      for (const descriptor of descriptors) closeSync(descriptor);
    },
  };
}

/** What is put goes to a file, from its beginning, in pieces: all at once would be as much memory as all calls take. */
function createSpool(descriptor: number) {
  const piece = Buffer.allocUnsafe(SPOOL);
  let written = 0;
  let filled = 0;

  function write(bytes: Buffer): void {
    writeAll(descriptor, bytes, written);
    written += bytes.length;
  }

  function flush(): void {
    write(piece.subarray(0, filled));
    filled = 0;
  }

  return {
    /** Returns where it stands in the file. Throws what writing throws. */
    put(bytes: Buffer): number {
      if (filled + bytes.length > piece.length) flush();
      const offset = written + filled;
      if (bytes.length > piece.length) write(bytes);
      else filled += bytes.copy(piece, filled);
      return offset;
    },
    /** Returns how much there was. */
    end(): number {
      flush();
      return written;
    },
  };
}

function lastOfEach(frames: readonly CallFrame[]): CallFrame[] {
  return [...new Map(frames.map((one) => [one.key, one])).values()];
}

function bytesOf(frames: readonly CallFrame[]): number {
  return frames.reduce((sum, one) => sum + one.frame.length, 0);
}

/** As many as there is room for, the latest first; calls that have ended are of least worth. */
function withinBytes(frames: readonly CallFrame[], most: number): CallFrame[] {
  const kept = new Set<CallFrame>();
  let bytes = 0;
  const live = frames.filter(({ endedAt }) => endedAt === null);
  const over = frames.filter(({ endedAt }) => endedAt !== null);
  for (const one of [...over, ...live].reverse()) {
    if (bytes + one.frame.length > most) break;
    bytes += one.frame.length;
    kept.add(one);
  }
  return frames.filter((one) => kept.has(one));
}

function writeAll(descriptor: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(descriptor, bytes, done, bytes.length - done, position + done);
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
