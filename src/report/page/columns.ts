/**
 * Values of JSON laid out by what they have in common: objects of the same members become a column for each member, texts that
 * come again stand once, numbers are told by their differences. `JSON.stringify` of it is a quarter of that of the
 * values, and says the same.
 */
export type Column =
  /** The same null, true, false, number or text throughout. */
  | readonly ['same', unknown]
  | readonly ['values', readonly unknown[]]
  /** Each number less the one before it, times `scale`. */
  | readonly ['steps', scale: number, differences: readonly number[]]
  /** Distinct texts, and the place of each value among them. */
  | readonly ['texts', readonly string[], places: readonly number[]]
  /** Lengths of the lists, and what is in them, one after the other. */
  | readonly ['lists', lengths: Column, items: Column]
  | readonly ['objects', names: readonly string[], members: readonly Column[]]
  /** Of several kinds: which each value is of, and those of each kind. */
  | readonly [
      'kinds',
      which: readonly number[],
      readonly { readonly count: number; readonly column: Column }[],
    ];

type Members = Readonly<Record<string, unknown>>;

/** Above it the difference of two integers is not exact. */
const MOST = 2 ** 52;
/** Times are in seconds, to the microsecond. */
const MICRO = 1e6;
/** Texts stand once where no more than this share of them is distinct. */
const SHARED = 0.7;

/** A column of what `JSON.stringify` writes of the values: members that are undefined are left out. */
export function columnOf(values: readonly unknown[]): Column {
  const kinds = new Map<unknown, unknown[]>();
  const kindOf = createKinds();
  const which: number[] = [];
  const places = new Map<unknown, number>();
  for (const value of values) {
    const kind = kindOf(value);
    const known = kinds.get(kind);
    if (known === undefined) {
      places.set(kind, kinds.size);
      kinds.set(kind, [value]);
    } else known.push(value);
    which.push(places.get(kind)!);
  }
  const columns = [...kinds].map(([kind, own]) => ({ count: own.length, column: ofOneKind(kind, own) }));
  if (columns.length === 1) return columns[0]!.column;
  return columns.length === 0 ? ['values', []] : ['kinds', which, columns];
}

/** What a column was made of; `count` is the number of its values. */
export function valuesOf(column: Column, count: number): unknown[] {
  switch (column[0]) {
    case 'same':
      return Array.from({ length: count }, () => column[1]);
    case 'values':
      return [...column[1]];
    case 'steps': {
      const [, scale, differences] = column;
      let sum = 0;
      return differences.map((difference) => {
        sum += difference;
        return sum / scale;
      });
    }
    case 'texts':
      return column[2].map((place) => column[1][place]);
    case 'lists': {
      const lengths = valuesOf(column[1], count) as number[];
      const items = valuesOf(
        column[2],
        lengths.reduce((sum, length) => sum + length, 0),
      );
      let end = 0;
      return lengths.map((length) => {
        end += length;
        return items.slice(end - length, end);
      });
    }
    case 'objects': {
      const [, names, members] = column;
      const columns = members.map((member) => valuesOf(member, count));
      return Array.from({ length: count }, (_, index) =>
        Object.fromEntries(names.map((name, place) => [name, columns[place]![index]])),
      );
    }
    case 'kinds': {
      const queues = column[2].map((kind) => valuesOf(kind.column, kind.count).values());
      return column[1].map((kind) => queues[kind]!.next().value);
    }
  }
}

/** A function that tells what kind a value is of: the name of its type, of an object the list of its members' names. */
function createKinds(): (value: unknown) => string | readonly string[] {
  const known = new Map<string, readonly string[]>();
  let last: readonly string[] = [];
  return (value) => {
    if (value === null || value === undefined) return 'null';
    if (Array.isArray(value)) return 'list';
    if (typeof value !== 'object') return typeof value;
    const names = namesOf(value as Members);
    if (names.length === last.length && names.every((name, place) => name === last[place])) return last;
    const key = JSON.stringify(names);
    const found = known.get(key);
    if (found === undefined) known.set(key, names);
    last = found ?? names;
    return last;
  };
}

function namesOf(members: Members): string[] {
  return Object.keys(members).filter((name) => members[name] !== undefined);
}

function ofOneKind(kind: unknown, values: readonly unknown[]): Column {
  if (kind === 'null') return ['same', null];
  if (Array.isArray(kind)) {
    const names = kind as readonly string[];
    return ['objects', names, names.map((name) => columnOf(values.map((value) => (value as Members)[name])))];
  }
  if (kind === 'list') {
    const lists = values as readonly (readonly unknown[])[];
    return ['lists', columnOf(lists.map(({ length }) => length)), columnOf(lists.flat())];
  }
  const [first] = values;
  if (values.every((value) => value === first)) return ['same', first];
  if (kind === 'number') return ofNumbers(values as readonly number[]);
  return kind === 'string' ? ofTexts(values as readonly string[]) : ['values', values];
}

function ofNumbers(values: readonly number[]): Column {
  for (const scale of [1, MICRO]) {
    const whole = values.map((value) => Math.round(value * scale));
    const isExact = whole.every((value, index) => Math.abs(value) < MOST && value / scale === values[index]);
    if (isExact) return ['steps', scale, whole.map((value, index) => value - (whole[index - 1] ?? 0))];
  }
  return ['values', values];
}

function ofTexts(values: readonly string[]): Column {
  const places = new Map<string, number>();
  for (const value of values) if (!places.has(value)) places.set(value, places.size);
  if (places.size > values.length * SHARED) return ['values', values];
  return ['texts', [...places.keys()], values.map((value) => places.get(value)!)];
}
