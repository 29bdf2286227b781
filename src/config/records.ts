import type { Kind, ListKind, Written } from './kinds.ts';

/** One entry of a mapping in a list. What a file leaves out is null, unless it is `required`. */
interface RecordField<T> {
  readonly many: false;
  readonly kind: Kind<T>;
  readonly required: boolean;
  /** A sentence or two, for documents. */
  readonly about: string;
}

/** A field whose value is a list. */
interface ListField<T> {
  readonly many: true;
  readonly kind: ListKind<T>;
  readonly required: boolean;
  readonly about: string;
}

export type AnyField = RecordField<unknown> | ListField<unknown>;

/** The fields of a mapping that is read to an `Item`: the same names, in camelCase. */
type FieldsOf<Item> = {
  readonly [Key in keyof Item]: NonNullable<Item[Key]> extends readonly (infer T)[]
    ? ListField<T>
    : RecordField<NonNullable<Item[Key]>>;
};

/** A mapping as a file has it. */
export interface WrittenRecord {
  readonly [key: string]: Written | readonly Written[];
}

/** A list of mappings, or of scalars that stand for one. */
export interface RecordsKind<Item> {
  readonly expected: string;
  readonly most: number;
  readonly fields: FieldsOf<Item>;
  /** What a scalar in the list stands for, and which items are written as one; null when only mappings may stand there. */
  readonly short: {
    readonly kind: Kind<Item>;
    isShort(item: Item): boolean;
  } | null;
  /** What was expected in place of two items that must not stand in one list; null when they may. */
  collide(one: Item, other: Item): string | null;
}

export function field<T>(kind: Kind<T>, about: string): RecordField<T> {
  return { many: false, kind, required: false, about };
}

export function listField<T>(kind: ListKind<T>, about: string): ListField<T> {
  return { many: true, kind, required: false, about };
}

/** The same field, without which a mapping is at fault. */
export function required<F extends { readonly required: boolean }>(one: F): F {
  return { ...one, required: true };
}

/** An item as a file has it: fields that were left out stay out. */
export function writtenItem<Item>(
  { fields, short }: RecordsKind<Item>,
  item: Item,
  keyOf: (name: string) => string,
): Written | WrittenRecord {
  if (short?.isShort(item)) return short.kind.write(item);
  const values = item as Readonly<Record<string, unknown>>;
  const written: [string, Written | readonly Written[]][] = [];
  for (const [name, { many, kind }] of Object.entries<AnyField>(fields)) {
    const value = values[name];
    if (value === null || value === undefined) continue;
    written.push([
      keyOf(name),
      many ? (value as readonly unknown[]).map((one) => kind.item.write(one)) : kind.write(value),
    ]);
  }
  return Object.fromEntries(written);
}
