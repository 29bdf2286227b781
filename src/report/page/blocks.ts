import { type Column, columnOf, valuesOf } from './columns.ts';

/** Pictures of so many calls, in the order of the list, stand in one block of the document: it is read as one. */
export const BLOCK = 64;

/** What is in an element of the document: so many values, as columns. */
export interface Block {
  readonly count: number;
  readonly column: Column;
}

/** Name of the element that holds the picture of the call with that place in the list. */
export function blockName(place: number): string {
  return `calls-${Math.floor(place / BLOCK)}`;
}

/** Name of the element that holds the list of a report, whose page has no more than how many calls there are. */
export const ROWS = 'rows';

export function blockOf(values: readonly unknown[]): Block {
  return { count: values.length, column: columnOf(values) };
}

export function valuesIn({ count, column }: Block): unknown[] {
  return valuesOf(column, count);
}
