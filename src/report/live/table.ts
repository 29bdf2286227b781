import { columnsOf } from '../style.ts';

export interface Column {
  readonly head: string;
  /** Numbers stand under each other. */
  readonly right?: true;
}

const GAP = '  ';

/** Rows under their heads, each column as wide as its widest cell. Cells have to be printable already. */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  strong: (text: string) => string = (text) => text,
): string[] {
  const widths = columns.map(({ head }, index) =>
    rows.reduce((widest, row) => Math.max(widest, columnsOf(row[index] ?? '')), head.length),
  );
  const line = (cells: readonly string[]) =>
    columns
      .map(({ right }, index) => {
        const cell = cells[index] ?? '';
        const fill = ' '.repeat(widths[index]! - columnsOf(cell));
        return right === true ? fill + cell : cell + fill;
      })
      .join(GAP)
      .trimEnd();
  return [strong(line(columns.map(({ head }) => head))), ...rows.map(line)];
}

/**
 * The same in at most `width` columns: without the columns that can best be done without (`leastWanted`, the first first),
 * as many as that takes. Null where not even the rest fits.
 */
export function fittedTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
  leastWanted: readonly string[],
  strong?: (text: string) => string,
): string[] | null {
  let kept = columns.map((_, index) => index);
  for (const head of ['', ...leastWanted]) {
    kept = kept.filter((index) => columns[index]!.head !== head);
    const lines = tableLines(
      kept.map((index) => columns[index]!),
      rows.map((row) => kept.map((index) => row[index]!)),
      strong,
    );
    if (lines.every((line) => columnsOf(line) <= width)) return lines;
  }
  return null;
}

/** Names with their values, the values under each other. */
export function listLines(pairs: readonly (readonly [name: string, value: string])[], indent = ''): string[] {
  const width = Math.max(0, ...pairs.map(([name]) => name.length));
  return pairs.map(([name, value]) => `${indent}${name.padEnd(width)}${GAP}${value}`.trimEnd());
}
