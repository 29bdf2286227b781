/**
 * How values are written as plain data that JSON keeps, and read back from what may be anything. Times are written
 * relative to the moment of writing and read relative to one of the reader's own clock.
 */
export interface Shape<T> {
  /** `moment`: now, in ms of the clock that the value's times are of. */
  write(value: T, moment: number): unknown;
  /** Throws ShapeError, with `at` as the name of the place, for what is not of this shape. */
  read(plain: unknown, at: string, moment: number): T;
  /** What is written is the value itself: there is no time in it. */
  readonly isPlain: boolean;
}

/** What was read is not of the shape that it should have. The message is a text for people. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

/** A value that is written as it is. `expected` names what `is` accepts. */
export function plain<T>(expected: string, is: (value: unknown) => value is T): Shape<T> {
  return {
    isPlain: true,
    write: (value) => value,
    read(value, at) {
      if (is(value)) return value;
      throw new ShapeError(`expected ${expected} at ${at}`);
    },
  };
}

export const flag = plain('true or false', (value) => typeof value === 'boolean');

export function text(most: number): Shape<string> {
  return plain(
    `at most ${most} characters`,
    (value): value is string => typeof value === 'string' && value.length <= most,
  );
}

/** From `least` to `most` characters, each of them one of these. */
export function spelled(least: number, most: number, characters: string): Shape<string> {
  const allowed = new Set(characters);
  const expected = `${least} to ${most} characters of ${characters}`;
  return plain(expected, (value): value is string => {
    if (typeof value !== 'string' || value.length < least || value.length > most) return false;
    return [...value].every((one) => allowed.has(one));
  });
}

/** So many hexadecimal digits. */
export function hexadecimal(length: number): Shape<string> {
  return spelled(length, length, '0123456789abcdef');
}

export function integer(least: number, most: number): Shape<number> {
  const is = (value: unknown): value is number =>
    Number.isInteger(value) && within(value as number, least, most);
  return plain(`an integer from ${least} to ${most}`, is);
}

/** One of the names of a table. */
export function nameOf<Name extends string>(names: Readonly<Record<Name, unknown>>): Shape<Name> {
  const is = (value: unknown): value is Name => typeof value === 'string' && Object.hasOwn(names, value);
  return plain(`one of ${Object.keys(names).join(', ')}`, is);
}

/** The only value that there may be. */
export function only<const T extends string | number | null>(value: T): Shape<T> {
  return plain(JSON.stringify(value), (given): given is T => given === value);
}

/** ms, far more than any timer. */
const AGES = 100 * 366 * 86_400_000;
/** How far a time that has passed may lie in the future: the clock was asked before it was written. */
const TOLERANCE = 1000;

/** A time in ms; Infinity is written as `never`, -Infinity as `before`. */
export const time = timeUpTo(AGES);
/** A time that has passed when it is written, or -Infinity. */
export const past = timeUpTo(TOLERANCE);

function timeUpTo(most: number): Shape<number> {
  return {
    isPlain: false,
    write(value, moment) {
      if (value === Number.POSITIVE_INFINITY) return 'never';
      return value === Number.NEGATIVE_INFINITY ? 'before' : Math.round((value - moment) * 1000) / 1000;
    },
    read(value, at, moment) {
      if (value === 'before') return Number.NEGATIVE_INFINITY;
      if (value === 'never' && most === AGES) return Number.POSITIVE_INFINITY;
      if (typeof value === 'number' && within(value, -AGES, most)) return moment + value;
      throw new ShapeError(`expected a time in ms at ${at}`);
    },
  };
}

function within(value: number, least: number, most: number): boolean {
  return least <= value && value <= most;
}

export function orNull<T>(shape: Shape<T>): Shape<T | null> {
  return {
    isPlain: shape.isPlain,
    write: (value, moment) => (value === null ? null : shape.write(value, moment)),
    read: (value, at, moment) => (value === null ? null : shape.read(value, at, moment)),
  };
}

/** One of two shapes, by whether the value has this field. */
export function either<Field extends string, One extends { readonly [F in Field]: unknown }, Other>(
  field: Field,
  one: Shape<One>,
  other: Shape<Other>,
): Shape<One | Other> {
  const isOne = (value: unknown): value is One =>
    typeof value === 'object' && value !== null && Object.hasOwn(value, field);
  return {
    isPlain: one.isPlain && other.isPlain,
    write: (value, moment) => (isOne(value) ? one.write(value, moment) : other.write(value, moment)),
    read: (value, at, moment) => (isOne(value) ? one : other).read(value, at, moment),
  };
}

/** At most `most` of this shape. */
export function list<T>(shape: Shape<T>, most: number): Shape<T[]> {
  return {
    isPlain: shape.isPlain,
    write: (values, moment) => (shape.isPlain ? values : values.map((one) => shape.write(one, moment))),
    read(values, at, moment) {
      if (!Array.isArray(values) || values.length > most) {
        throw new ShapeError(`expected a list of at most ${most} at ${at}`);
      }
      return values.map((one, index) => shape.read(one, `${at}[${index}]`, moment));
    },
  };
}

/** Two of this shape. */
export function pair<T>(shape: Shape<T>): Shape<[T, T]> {
  const two = list(shape, 2);
  return {
    isPlain: two.isPlain,
    write: two.write,
    read(values, at, moment) {
      const [one, other, ...more] = two.read(values, at, moment);
      if (one === undefined || other === undefined || more.length > 0) {
        throw new ShapeError(`expected two at ${at}`);
      }
      return [one, other];
    },
  };
}

export function isFields(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A shape for each field; one without is no program. What is read has these fields and no others. */
type Fields<T> = { readonly [Key in keyof T]-?: Shape<T[Key]> };

export function object<T extends object>(fields: Fields<T>): Shape<T> {
  const entries = Object.entries(fields) as [string, Shape<unknown>][];
  const timed = entries.filter(([, shape]) => !shape.isPlain);
  const isPlain = timed.length === 0;
  return {
    isPlain,
    write(value, moment) {
      if (isPlain) return value;
      const written = { ...value } as Record<string, unknown>;
      for (const [key, shape] of timed) written[key] = shape.write(value[key as keyof T], moment);
      return written;
    },
    read(value, at, moment) {
      if (!isFields(value)) {
        throw new ShapeError(`expected an object at ${at}`);
      }
      const read: Record<string, unknown> = {};
      for (const [key, shape] of entries) {
        if (!Object.hasOwn(value, key)) throw new ShapeError(`expected ${at}.${key}`);
        read[key] = shape.read(value[key], `${at}.${key}`, moment);
      }
      for (const key of Object.keys(value)) {
        if (!Object.hasOwn(fields, key)) throw new ShapeError(`expected no ${at}.${key.slice(0, 32)}`);
      }
      return read as T;
    },
  };
}
