/**
 * C structs as tables of offset, size and type, from which one encoder and one decoder are made. The layouts are
 * those of LP64 little-endian machines; a table that overlaps itself or does not fit its size does not load.
 */

/** How one kind of value lies in memory. `In` is what encode takes, `Out` what decode gives. */
interface Field<In, Out = In> {
  /** Bytes it takes. */
  readonly size: number;
  /** Throws RangeError when the value cannot be stored; `name` is the member to blame. */
  write(buffer: Buffer, offset: number, value: In, name: string): void;
  read(buffer: Buffer, offset: number): Out;
}

/** A field at its place. Overlays (a union's other members) may lie over others. */
interface Member<In, Out> {
  readonly offset: number;
  readonly field: Field<In, Out>;
  readonly overlay: boolean;
}

type Members = Readonly<Record<string, Member<never, unknown>>>;

type Encoded<M extends Members> = {
  readonly [K in keyof M]?: M[K] extends Member<infer In, unknown> ? In : never;
};
type Decoded<M extends Members> = {
  readonly [K in keyof M]: M[K] extends Member<never, infer Out> ? Out : never;
};

/** A struct is itself a field, so structs nest. */
interface Struct<M extends Members> extends Field<Encoded<M>, Decoded<M>> {
  readonly name: string;
  readonly members: M;
  /** Clears the struct's bytes, then writes the members given; the others stay zero. Returns `buffer`. */
  encode(values: Encoded<M>, buffer?: Buffer, offset?: number): Buffer;
  /** Reads every member. Throws RangeError when `buffer` ends before the struct does. */
  decode(buffer: Buffer, offset?: number): Decoded<M>;
  /** Reads one member. */
  get<K extends keyof M>(member: K, buffer: Buffer, offset?: number): Decoded<M>[K];
  /** Writes one member and leaves the others as they are. */
  set<K extends keyof M>(member: K, value: NonNullable<Encoded<M>[K]>, buffer: Buffer, offset?: number): void;
}

/** What `encode` takes for the struct. */
export type ValuesOf<S> = S extends Struct<infer M> ? Encoded<M> : never;
/** What `decode` gives for the struct. */
export type ContentsOf<S> = S extends Struct<infer M> ? Decoded<M> : never;

/** `field` at byte `offset`. */
export function at<In, Out>(offset: number, field: Field<In, Out>): Member<In, Out> {
  return { offset, field, overlay: false };
}

/** `field` at byte `offset`, in the same place as other members: one of a C union. */
export function overlay<In, Out>(offset: number, field: Field<In, Out>): Member<In, Out> {
  return { offset, field, overlay: true };
}

/** Makes a struct of `size` bytes. Throws when members overlap or reach past its end. */
export function struct<const M extends Members>(name: string, size: number, members: M): Struct<M> {
  checkLayout(name, size, members);
  const table = Object.entries(members).map(([member, { offset, field }]) => ({
    member,
    offset,
    field,
    path: `${name}.${member}`,
  }));
  const entries = new Map(table.map((entry) => [entry.member, entry]));

  /** Looks only at the members there are: rules have fifty, of which ten are given. */
  const write = (buffer: Buffer, offset: number, values: Encoded<M>): void => {
    if (offset < 0 || offset + size > buffer.length) throw outside(name, size, buffer, offset);
    buffer.fill(0, offset, offset + size);
    for (const member in values) {
      const value = values[member];
      const entry = entries.get(member);
      if (value === undefined || entry === undefined) continue;
      entry.field.write(buffer, offset + entry.offset, value as never, entry.path);
    }
  };
  const read = (buffer: Buffer, offset: number): Decoded<M> => {
    if (offset < 0 || offset + size > buffer.length) throw outside(name, size, buffer, offset);
    const contents: Record<string, unknown> = {};
    for (const entry of table) contents[entry.member] = entry.field.read(buffer, offset + entry.offset);
    return contents as Decoded<M>;
  };
  return {
    name,
    size,
    members,
    write,
    read,
    encode(values, buffer = Buffer.alloc(size), offset = 0) {
      write(buffer, offset, values);
      return buffer;
    },
    decode: (buffer, offset = 0) => read(buffer, offset),
    get: (member, buffer, offset = 0) =>
      members[member]!.field.read(buffer, offset + members[member]!.offset) as Decoded<M>[typeof member],
    set(member, value, buffer, offset = 0) {
      const { field, offset: within } = members[member]!;
      field.write(buffer, offset + within, value as never, `${name}.${String(member)}`);
    },
  };
}

function outside(name: string, size: number, buffer: Buffer, offset: number): RangeError {
  return new RangeError(
    `struct ${name} needs ${size} bytes at offset ${offset} of a buffer of ${buffer.length}`,
  );
}

function checkLayout(name: string, size: number, members: Members): void {
  const table = Object.entries(members).sort(([, a], [, b]) => a.offset - b.offset);
  let end = 0;
  for (const [member, { offset, field, overlay: over }] of table) {
    if (offset + field.size > size) throw new Error(`struct ${name}: ${member} reaches past byte ${size}`);
    if (over) continue;
    if (offset < end) throw new Error(`struct ${name}: ${member} overlaps the member before it`);
    end = offset + field.size;
  }
}

function integer(size: number, min: number, max: number, codec: NumberCodec): Field<number> {
  return {
    size,
    write(buffer, offset, value, name) {
      if (!Number.isInteger(value) || value < min || value > max) {
        throw new RangeError(`${name} is ${value}: expected an integer from ${min} to ${max}`);
      }
      codec.write(buffer, offset, value);
    },
    read: codec.read,
  };
}

interface NumberCodec {
  write(buffer: Buffer, offset: number, value: number): void;
  read(buffer: Buffer, offset: number): number;
}

export const u8 = integer(1, 0, 0xff, {
  write: (buffer, offset, value) => void buffer.writeUInt8(value, offset),
  read: (buffer, offset) => buffer.readUInt8(offset),
});
/** Host order, as `u32`, `i32` and `u64` are. */
export const u16 = integer(2, 0, 0xffff, {
  write: (buffer, offset, value) => void buffer.writeUInt16LE(value, offset),
  read: (buffer, offset) => buffer.readUInt16LE(offset),
});
export const u32 = integer(4, 0, 0xffffffff, {
  write: (buffer, offset, value) => void buffer.writeUInt32LE(value, offset),
  read: (buffer, offset) => buffer.readUInt32LE(offset),
});
export const i16 = integer(2, -0x8000, 0x7fff, {
  write: (buffer, offset, value) => void buffer.writeInt16LE(value, offset),
  read: (buffer, offset) => buffer.readInt16LE(offset),
});
export const i32 = integer(4, -0x80000000, 0x7fffffff, {
  write: (buffer, offset, value) => void buffer.writeInt32LE(value, offset),
  read: (buffer, offset) => buffer.readInt32LE(offset),
});
/** Network order. */
export const be16 = integer(2, 0, 0xffff, {
  write: (buffer, offset, value) => void buffer.writeUInt16BE(value, offset),
  read: (buffer, offset) => buffer.readUInt16BE(offset),
});
/** Network order. */
export const be32 = integer(4, 0, 0xffffffff, {
  write: (buffer, offset, value) => void buffer.writeUInt32BE(value, offset),
  read: (buffer, offset) => buffer.readUInt32BE(offset),
});

export const u64: Field<bigint> = {
  size: 8,
  write(buffer, offset, value, name) {
    if (value < 0n || value > 0xffffffffffffffffn)
      throw new RangeError(`${name} is ${value}: expected 64 bits`);
    buffer.writeBigUInt64LE(value, offset);
  },
  read: (buffer, offset) => buffer.readBigUInt64LE(offset),
};

/** An address in the caller's memory; the caller keeps what it points to alive. */
export const pointer = u64;

/** `size` raw bytes; a shorter value leaves the rest zero. Decoding copies. */
export function bytes(size: number): Field<Uint8Array, Buffer> {
  return {
    size,
    write(buffer, offset, value, name) {
      if (value.length > size)
        throw new RangeError(`${name} has ${value.length} bytes: expected at most ${size}`);
      buffer.set(value, offset);
    },
    read: (buffer, offset) => Buffer.from(buffer.subarray(offset, offset + size)),
  };
}

/** A NUL-terminated string in `size` bytes, the NUL included. */
export function cstring(size: number): Field<string> {
  return {
    size,
    write(buffer, offset, value, name) {
      const length = Buffer.byteLength(value);
      if (length >= size) throw new RangeError(`${name} has ${length} bytes: expected at most ${size - 1}`);
      if (value.includes('\0')) throw new RangeError(`${name} has a NUL in it`);
      buffer.write(value, offset);
    },
    read(buffer, offset) {
      const whole = buffer.subarray(offset, offset + size);
      const nul = whole.indexOf(0);
      return whole.toString('utf8', 0, nul < 0 ? size : nul);
    },
  };
}

/** `count` fields of one kind, one after the other; fewer values leave the rest zero. */
export function array<In, Out>(field: Field<In, Out>, count: number): Field<readonly In[], Out[]> {
  return {
    size: field.size * count,
    write(buffer, offset, values, name) {
      if (values.length > count) {
        throw new RangeError(`${name} has ${values.length} elements: expected at most ${count}`);
      }
      for (let index = 0; index < values.length; index++) {
        field.write(buffer, offset + index * field.size, values[index]!, name);
      }
    },
    read: (buffer, offset) =>
      Array.from({ length: count }, (_, index) => field.read(buffer, offset + index * field.size)),
  };
}
