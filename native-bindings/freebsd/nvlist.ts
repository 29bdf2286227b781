/**
 * FreeBSD's packed nvlists, nv(9): what pf's newer ioctls take and give. Little endian, no descriptors.
 *
 * A list is a header of 19 bytes (magic, version, flags, descriptors, bytes left in the whole buffer after this
 * header) and its pairs; a pair is a header of 19 bytes (type, length of the name with its NUL, length of the
 * data, number of items), the name and the data. A list inside a list ends with a pair of type 255, a list
 * inside an array of lists with one of type 254 (sys/contrib/libnv, nvlist_xpack and nvpair_pack_header).
 */

/** One value, by its JavaScript type: number and bigint are libnv's 64-bit number, a Uint8Array is binary. */
export type NvValue =
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | NvList
  | readonly boolean[]
  | readonly (number | bigint)[]
  | readonly string[]
  | readonly NvList[];

/** Pairs in their order. Unpacked numbers are bigint always; unpacked binary is a Buffer. */
export interface NvList {
  readonly [name: string]: NvValue;
}

/** A packed list that is cut short or does not follow the format. */
export class NvListError extends Error {
  override readonly name = 'NvListError';
}

const MAGIC = 0x6c;
const LIST_HEADER = 19;
const PAIR_HEADER = 19;
/** A closing pair: its header and the NUL of its empty name. */
const CLOSING = PAIR_HEADER + 1;
const NAME_MAX = 2048;
/** pf nests five deep. */
const DEPTH_MAX = 16;

const NULL = 1;
const BOOL = 2;
const NUMBER = 3;
const STRING = 4;
const NVLIST = 5;
const BINARY = 7;
const BOOL_ARRAY = 8;
const NUMBER_ARRAY = 9;
const STRING_ARRAY = 10;
const NVLIST_ARRAY = 11;
const ARRAY_NEXT = 254;
const UP = 255;

/** A value with its type and the bytes of its data, nested lists with their headers and closing pairs. */
interface Measured {
  readonly type: number;
  readonly size: number;
}

function isList(value: NvValue): value is NvList {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function measure(value: NvValue, name: string): Measured {
  switch (typeof value) {
    case 'boolean':
      return { type: BOOL, size: 1 };
    case 'number':
    case 'bigint':
      return { type: NUMBER, size: 8 };
    case 'string':
      return { type: STRING, size: Buffer.byteLength(value) + 1 };
  }
  if (value instanceof Uint8Array) return { type: BINARY, size: value.length };
  if (isList(value)) return { type: NVLIST, size: LIST_HEADER + pairsSize(value) + CLOSING };
  return measureArray(value as readonly NvValue[], name);
}

function measureArray(items: readonly NvValue[], name: string): Measured {
  const first = items[0];
  if (first === undefined) throw new NvListError(`nvlist array ${name} is empty: libnv has no such thing`);
  switch (typeof first) {
    case 'boolean':
      return { type: BOOL_ARRAY, size: items.length };
    case 'number':
    case 'bigint':
      return { type: NUMBER_ARRAY, size: 8 * items.length };
    case 'string':
      return {
        type: STRING_ARRAY,
        size: sum(items as readonly string[], (item) => Buffer.byteLength(item) + 1),
      };
  }
  const lists = items as readonly NvList[];
  return { type: NVLIST_ARRAY, size: sum(lists, (list) => LIST_HEADER + pairsSize(list) + CLOSING) };
}

function sum<T>(items: readonly T[], size: (item: T) => number): number {
  return items.reduce((total, item) => total + size(item), 0);
}

function pairsSize(list: NvList): number {
  return sum(
    Object.entries(list),
    ([name, value]) => PAIR_HEADER + Buffer.byteLength(name) + 1 + measure(value, name).size,
  );
}

/** Packs a list into bytes, byte for byte as libnv's nvlist_pack(9) does. */
export function packNvList(list: NvList): Buffer {
  const buffer = Buffer.alloc(LIST_HEADER + pairsSize(list));
  let at = 0;

  const header = (): void => {
    buffer[at] = MAGIC;
    buffer.writeBigUInt64LE(BigInt(buffer.length - at - LIST_HEADER), at + 11);
    at += LIST_HEADER;
  };
  const pair = (type: number, name: string, size: number, items: number): void => {
    const length = Buffer.byteLength(name) + 1;
    if (length > NAME_MAX)
      throw new NvListError(`nvlist name of ${length - 1} bytes: expected less than ${NAME_MAX}`);
    buffer[at] = type;
    buffer.writeUInt16LE(length, at + 1);
    buffer.writeBigUInt64LE(BigInt(size), at + 3);
    buffer.writeBigUInt64LE(BigInt(items), at + 11);
    buffer.write(name, at + PAIR_HEADER);
    at += PAIR_HEADER + length;
  };
  const number = (value: number | bigint): void => {
    buffer.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), at);
    at += 8;
  };
  const string = (value: string): void => {
    at += buffer.write(value, at) + 1;
  };
  const list_ = (value: NvList, closing: number): void => {
    header();
    pairs(value);
    pair(closing, '', 0, 0);
  };
  const data = (type: number, value: NvValue): void => {
    if (type === BOOL) buffer[at++] = value === true ? 1 : 0;
    else if (type === NUMBER) number(value as number | bigint);
    else if (type === STRING) string(value as string);
    else if (type === BINARY) at += Buffer.from(value as Uint8Array).copy(buffer, at);
    else if (type === NVLIST) list_(value as NvList, UP);
    else if (type === BOOL_ARRAY) for (const item of value as readonly boolean[]) buffer[at++] = item ? 1 : 0;
    else if (type === NUMBER_ARRAY) for (const item of value as readonly (number | bigint)[]) number(item);
    else if (type === STRING_ARRAY) for (const item of value as readonly string[]) string(item);
    else for (const item of value as readonly NvList[]) list_(item, ARRAY_NEXT);
  };
  const pairs = (value: NvList): void => {
    for (const [name, item] of Object.entries(value)) {
      const { type, size } = measure(item, name);
      // A nested list's own closing pair is not counted in its data, and an array of lists has none at all.
      const datasize = type === NVLIST ? size - CLOSING : type === NVLIST_ARRAY ? 0 : size;
      pair(type, name, datasize, Array.isArray(item) ? item.length : 0);
      data(type, item);
    }
  };

  header();
  pairs(list);
  return buffer;
}

/** Unpacks the list that fills `buffer`. Throws NvListError when it is cut short or malformed. */
export function unpackNvList(buffer: Buffer): NvList {
  let at = 0;

  const take = (size: number, what: string): number => {
    if (size > buffer.length - at)
      throw new NvListError(`nvlist ends at byte ${buffer.length}, inside ${what}`);
    const start = at;
    at += size;
    return start;
  };
  const length = (offset: number, what: string): number => {
    const value = buffer.readUInt32LE(offset) + buffer.readUInt32LE(offset + 4) * 2 ** 32;
    if (value > buffer.length) throw new NvListError(`nvlist ${what} claims ${value} bytes or items`);
    return value;
  };
  const string = (size: number, what: string): string => {
    const last = take(size, what) + size - 1;
    const text = buffer.toString('utf8', last - size + 1, last);
    if (size === 0 || buffer[last] !== 0 || text.includes('\0')) {
      throw new NvListError(`nvlist ${what} is not one NUL-terminated string of ${size} bytes`);
    }
    return text;
  };
  const header = (): void => {
    const start = take(LIST_HEADER, 'a list header');
    const left = buffer.readBigUInt64LE(start + 11);
    const sound =
      buffer[start] === MAGIC && buffer[start + 1] === 0 && buffer.readBigUInt64LE(start + 3) === 0n;
    if (!sound || left !== BigInt(buffer.length - at)) {
      throw new NvListError(`nvlist header at byte ${start} is not one of libnv`);
    }
  };
  const items = <T>(count: number, name: string, read: () => T): T[] => {
    if (count === 0) throw new NvListError(`nvlist array ${name} is empty`);
    return Array.from({ length: count }, read);
  };
  const strings = (size: number, count: number, name: string): string[] => {
    const end = at + size;
    const values = items(count, name, () => {
      const nul = buffer.indexOf(0, at);
      return string(nul < 0 ? buffer.length + 1 : nul + 1 - at, name);
    });
    if (at !== end) throw new NvListError(`nvlist array ${name} is not ${size} bytes long`);
    return values;
  };
  const value = (type: number, size: number, count: number, name: string, depth: number): NvValue => {
    switch (type) {
      case NULL:
        return false;
      case BOOL:
        return buffer[take(size === 1 ? 1 : Number.POSITIVE_INFINITY, name)] === 1;
      case NUMBER:
        return buffer.readBigUInt64LE(take(8, name));
      case STRING:
        return string(size, name);
      case BINARY: {
        const start = take(size, name);
        return Buffer.from(buffer.subarray(start, start + size));
      }
      case NVLIST:
        header();
        return pairs(UP, depth);
      case BOOL_ARRAY:
        return items(count, name, () => buffer[take(1, name)] === 1);
      case NUMBER_ARRAY:
        return items(count, name, () => buffer.readBigUInt64LE(take(8, name)));
      case STRING_ARRAY:
        return strings(size, count, name);
      case NVLIST_ARRAY:
        return items(count, name, () => {
          header();
          return pairs(ARRAY_NEXT, depth);
        });
      default:
        throw new NvListError(`nvlist pair ${name} has the unknown type ${type}`);
    }
  };
  const pairs = (closing: number | null, depth: number): NvList => {
    if (depth > DEPTH_MAX) throw new NvListError(`nvlist is nested deeper than ${DEPTH_MAX} lists`);
    const list: Record<string, NvValue> = Object.create(null);
    while (closing !== null || at < buffer.length) {
      const start = take(PAIR_HEADER, 'a pair header');
      const type = buffer[start]!;
      const size = length(start + 3, 'pair');
      const count = length(start + 11, 'pair');
      const name = string(buffer.readUInt16LE(start + 1), 'the name of a pair');
      if (type === UP || type === ARRAY_NEXT) {
        if (type === closing) return list;
        throw new NvListError(`nvlist closes at byte ${start} what was not opened`);
      }
      if (name in list) throw new NvListError(`nvlist has two pairs named ${name}`);
      list[name] = value(type, size, count, name, depth + 1);
    }
    return list;
  };

  header();
  return pairs(null, 0);
}
