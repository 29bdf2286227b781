import { columnsOf, type Style } from '../../src/report/style.ts';
import type { Way } from './result.ts';
import { number } from './view.ts';

export interface Outcome {
  readonly calls: { readonly planned: number; readonly complete: number };
  /** From the client to the server, and back. */
  readonly ways: readonly [Way, Way];
  readonly stranger: { readonly sent: number; readonly arrived: number; readonly targets: number };
  readonly pinholes: { readonly opened: number; readonly closed: number; readonly left: number };
  /** Connection tracking entries of media at the end. */
  readonly flowsLeft: number;
  /** Packets that tcpdump could not keep; the comparison is worth nothing then. */
  readonly captureLoss: number;
  /** Warnings and errors of the daemon. */
  readonly complaints: readonly string[];
}

interface Row {
  readonly label: string;
  /** One for each way, or one for both. */
  readonly cells: readonly string[];
  /** Null: told, not judged. */
  readonly ok: boolean | null;
}

const LABEL = 32;
const CELL = 18;

/** Whether everything is as it must be, and the table that says so. */
export function judge(outcome: Outcome, style: Style): { readonly ok: boolean; readonly lines: string[] } {
  const rows = rowsOf(outcome);
  const head = ['client → server', 'server → client'].map((way) => way.padStart(CELL)).join('');
  const lines = [
    style.quiet(`  ${''.padEnd(LABEL)}${head}`),
    ...rows.map((row) => lineOf(row, style)),
    ...outcome.complaints.map((text) => `  ${style.bad('pinholed:')} ${text}`),
  ];
  const ok = rows.every((row) => row.ok !== false) && outcome.complaints.length === 0;
  return { ok, lines };
}

function lineOf({ label, cells, ok }: Row, style: Style): string {
  const text =
    cells.length === 1 ? cells[0]!.padStart(2 * CELL) : cells.map((cell) => cell.padStart(CELL)).join('');
  const mark = ok === null ? '' : ok ? style.good('✓') : style.bad('✗ not as it must be');
  const line = `  ${label.padEnd(LABEL)}${ok === false ? style.bad(text) : text}`;
  return ok === null
    ? line
    : `${line.padEnd(line.length + Math.max(0, LABEL + 2 * CELL + 2 - columnsOf(line)))}  ${mark}`;
}

function rowsOf(outcome: Outcome): Row[] {
  const { calls, ways, stranger, pinholes, flowsLeft, captureLoss } = outcome;
  const both = (cell: (way: Way) => string) => ways.map(cell);
  const every = (holds: (way: Way) => boolean) => ways.every(holds);
  return [
    {
      label: 'calls that went as planned',
      cells: [`${calls.complete} of ${calls.planned}`],
      ok: calls.complete === calls.planned,
    },
    {
      label: 'media packets sent',
      cells: both(({ media }) => number(media.sent)),
      ok: every(({ media }) => media.sent > 0),
    },
    {
      label: 'media packets received',
      cells: both(({ media }) => number(media.received)),
      ok: every(({ media }) => media.received === media.sent),
    },
    {
      label: 'first packet of a stream lost',
      cells: both(({ streams }) => `${streams.firstLost} of ${streams.all}`),
      ok: every(({ streams }) => streams.firstLost === 0 && streams.all > 0),
    },
    {
      label: 'SIP messages',
      cells: both(({ sip }) => number(sip.sent)),
      ok: every(({ sip }) => sip.sent > 0 && sip.received === sip.sent),
    },
    {
      label: 'SIP bytes modified',
      cells: both(({ sip }) => number(sip.modified)),
      ok: every(({ sip }) => sip.modified === 0),
    },
    {
      label: 'ms in the firewall, p50 / p99',
      cells: both(({ transit }) => `${quantile(transit, 0.5)} / ${quantile(transit, 0.99)}`),
      ok: null,
    },
    {
      label: 'pinholes opened, closed, left',
      cells: [`${pinholes.opened}, ${pinholes.closed}, ${pinholes.left}`],
      ok: pinholes.opened > 0 && pinholes.closed === pinholes.opened && pinholes.left === 0,
    },
    { label: 'tracked connections left', cells: [number(flowsLeft)], ok: flowsLeft === 0 },
    {
      label: "stranger's packets that arrived",
      cells: [`${number(stranger.arrived)} of ${number(stranger.sent)} at ${stranger.targets} open ports`],
      ok: stranger.sent > 0 && stranger.arrived === 0,
    },
    ...(captureLoss === 0
      ? []
      : [{ label: 'packets tcpdump did not keep', cells: [number(captureLoss)], ok: false }]),
  ];
}

/** `0.21` */
function quantile(values: readonly number[], q: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) * q)] ?? 0).toFixed(2);
}
