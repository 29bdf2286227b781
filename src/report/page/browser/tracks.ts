import { countText, plural } from '../../../counted.ts';
import { codecsText, rtpText } from '../../replay/rtp-text.ts';
import type { CallPicture, PageFlow, PagePinhole } from '../model.ts';
import { readable, transport } from '../text.ts';
import { svg, textWidth } from './dom.ts';
import { edgeOf, mark, nameRow, placeOf, type Run, type Sheet, titleRow } from './sheet.ts';
import { BLOCKED, frame, kindsOf, offset, span } from './words.ts';

/** Flows that are drawn for one destination; the rest is counted. */
const MAX_FLOWS = 12;
/** Destinations that are drawn. */
const MAX_HOSTS = 16;
const BAR = 16;
/** Height of the packets above and below the line of a flow. */
const REACH = 17;

/** Below the ladder, for each host that media goes to: the pinholes that lead there and the packets that came. */
export function drawTracks(sheet: Sheet, picture: CallPicture): void {
  const { call, media } = picture;
  const named = [...call.pinholes.map(({ address }) => address), ...media.map(({ dst }) => dst)];
  const hosts = [...new Set(named)];
  const rank = (host: string) => (host === call.parties[0] ? 0 : host === call.parties[1] ? 1 : 2);
  hosts.sort((a, b) => rank(a) - rank(b));
  for (const host of hosts.slice(0, MAX_HOSTS)) {
    const pinholes = call.pinholes.filter(({ address }) => address === host);
    const flows = media.filter(({ dst }) => dst === host);
    heading(sheet, host, flows, picture);
    for (const same of bySpot(pinholes)) drawPinholes(sheet, same, call.startedAt);
    if (pinholes.length === 0) drawNoPinhole(sheet, flows);
    flows.sort(inOrder);
    for (const flow of flows.slice(0, MAX_FLOWS)) drawFlow(sheet, flow, call.startedAt);
    if (flows.length > MAX_FLOWS) drawRest(sheet, flows.slice(MAX_FLOWS));
  }
  const more = hosts.length - MAX_HOSTS;
  if (more > 0) {
    const text = `and ${more} more ${more === 1 ? 'address' : 'addresses'}, in words below`;
    titleRow(sheet, 30, [{ text, font: 'small', tone: 'quiet' }]);
  }
}

/** What carries sound first, then by weight. */
function inOrder(a: PageFlow, b: PageFlow): number {
  return Number(isControl(a)) - Number(isControl(b)) || b.packets - a.packets || a.firstAt - b.firstAt;
}

function isControl({ kinds }: PageFlow): boolean {
  return Object.keys(kinds).every((kind) => kind === 'rtcp');
}

// --- a destination ------------------------------------------------------------------------------------------

function heading(sheet: Sheet, host: string, flows: readonly PageFlow[], { call }: CallPicture): void {
  sheet.y += 10;
  sheet.back.append(
    svg('line', { class: 'rule', x1: -sheet.gutter, x2: edgeOf(sheet), y1: sheet.y, y2: sheet.y }),
  );
  const side = flows[0]?.side ?? null;
  const names = ['the caller', 'the callee'] as const;
  const own = host === call.parties[0] ? names[0] : host === call.parties[1] ? names[1] : null;
  const role = own ?? (side === null ? 'another host' : `meant for ${names[side]}`);
  titleRow(sheet, 28, [
    { text: 'To ', font: 'body', tone: 'quiet' },
    { text: host, font: 'strong' },
    { text: `  ${role}`, font: 'small', tone: 'quiet' },
  ]);
}

// --- pinholes -----------------------------------------------------------------------------------------------

/** Pinholes with the same destination, those of the lowest port first. */
function bySpot(pinholes: readonly PagePinhole[]): PagePinhole[][] {
  const spots = new Map<string, PagePinhole[]>();
  for (const pinhole of pinholes) {
    const key = `${pinhole.protocol} ${pinhole.ports.join('-')}`;
    const spot = spots.get(key);
    if (spot === undefined) spots.set(key, [pinhole]);
    else spot.push(pinhole);
  }
  return [...spots.values()];
}

function portsOf({ ports: [first, last] }: PagePinhole): string {
  return first === last ? `${first}` : `${first}–${last}`;
}

/** Bars of the same destination in one row, or in several where they overlap in time. */
function drawPinholes(sheet: Sheet, pinholes: readonly PagePinhole[], start: number): void {
  const { protocol, media, kind } = pinholes[0]!;
  const rows: PagePinhole[][] = [];
  for (const pinhole of pinholes) {
    const free = rows.find((row) => (row.at(-1)!.closedAt ?? Infinity) <= pinhole.openedAt);
    if (free === undefined) rows.push([pinhole]);
    else free.push(pinhole);
  }
  const name: Run[] = [
    { text: 'pinhole ', font: 'body' },
    { text: `:${portsOf(pinholes[0]!)}`, font: 'mono' },
    {
      text: `  ${protocol === 'udp' ? '' : `${protocol} `}${readable(media, 16)} ${kind}`,
      font: 'small',
      tone: 'quiet',
    },
  ];
  for (const [index, row] of rows.entries()) {
    const top = nameRow(sheet, BAR + 8, index === 0 ? [name] : []) + 4;
    for (const pinhole of row) drawBar(sheet, pinhole, top, start);
  }
}

function drawBar(sheet: Sheet, pinhole: PagePinhole, top: number, start: number): void {
  const { openedAt, closedAt, packets, sources } = pinhole;
  const x = placeOf(sheet, openedAt);
  const end = closedAt === null ? edgeOf(sheet) : placeOf(sheet, closedAt);
  const width = Math.max(4, end - x);
  const from = `from ${sources.join(', ')}`;
  const count = packets === 0 ? 'nothing came' : plural(packets, 'packet');
  const words = [`${from} · ${count}`, from, count].find((text) => textWidth(text, 'small') + 14 < width);
  const bar = svg(
    'g',
    { class: `pinhole${packets === 0 ? ' unused' : ''}` },
    svg('rect', { class: 'bar', x, y: top, width, height: BAR, rx: closedAt === null ? 0 : 3 }),
    svg('line', { class: 'open', x1: x + 1, x2: x + 1, y1: top, y2: top + BAR }),
    words === undefined ? null : svg('text', { class: 'small', x: x + 8, y: top + 12 }, words),
  );
  sheet.plot.append(bar);
  const opened = pinhole.openedFrame === 0 ? '' : ` (frame ${pinhole.openedFrame})`;
  const closed =
    closedAt === null
      ? 'still open'
      : `closed ${offset(closedAt - start)}: ${pinhole.closeReason}${pinhole.closedFrame === null ? '' : ` (frame ${pinhole.closedFrame})`}`;
  mark(sheet, bar, openedAt, () => [
    `Pinhole ${pinhole.protocol} to ${transport(pinhole.address, portsOf(pinhole))}`,
    `${from}${pinhole.sourcePort === null ? '' : ` port ${pinhole.sourcePort}`}`,
    `opened ${offset(openedAt - start)}${opened}, ${closed}`,
    `${readable(pinhole.media, 20)} ${pinhole.kind}: ${count}`,
  ]);
}

/** The empty place of a pinhole that never was. */
function drawNoPinhole(sheet: Sheet, flows: readonly PageFlow[]): void {
  const blocked = flows.some((flow) => flow.blocked > 0);
  const text = blocked ? 'none was ever open for this address' : 'none is needed in this direction';
  const top =
    nameRow(sheet, BAR + 8, [[{ text: 'no pinhole', font: 'body', tone: blocked ? 'bad' : 'quiet' }]]) + 4;
  const x = placeOf(sheet, sheet.scale.start);
  sheet.plot.append(
    svg(
      'g',
      { class: `never${blocked ? ' bad' : ''}` },
      svg('rect', { x, y: top, width: edgeOf(sheet) - x, height: BAR, rx: 3 }),
      svg('text', { class: 'small', x: x + 8, y: top + 12 }, text),
    ),
  );
}

// --- packets ------------------------------------------------------------------------------------------------

/** A line along the time axis with what passed standing on it, and what was blocked hanging from it. */
function drawFlow(sheet: Sheet, flow: PageFlow, start: number): void {
  const reach = isControl(flow) ? 12 : REACH;
  const top = nameRow(sheet, reach * 2 + 8, flowName(flow)) + 4;
  const line = top + reach;
  const typical = typicalCount(flow);
  const group = svg(
    'g',
    { class: 'flow' },
    svg('rect', { class: 'reach', x: 0, y: top, width: edgeOf(sheet), height: reach * 2 }),
    svg('line', { class: 'zero', x1: 0, x2: edgeOf(sheet), y1: line, y2: line }),
    bars(sheet, flow, 'passed', (height) => [line - height, height], reach, typical),
    bars(sheet, flow, 'blocked', (height) => [line, height], reach, typical),
  );
  for (const block of flow.passed === 0 ? flow.blocks : []) {
    const x = placeOf(sheet, block.at);
    const text = `blocked: ${BLOCKED[block.reason] ?? block.reason}`;
    const fits = x + 18 + textWidth(text, 'small') < edgeOf(sheet);
    group.append(
      svg('path', { class: 'cross', d: `M${x + 1} ${line - 11}l7 7m0 -7l-7 7` }),
      svg(
        'text',
        { class: 'small bad', x: fits ? x + 13 : x - 5, y: line - 4, 'text-anchor': fits ? 'start' : 'end' },
        text,
      ),
    );
  }
  sheet.plot.append(group);
  mark(sheet, group, flow.firstAt, (time) => [
    `${kindsOf(flow)} ${transport(flow.src, flow.srcPort)} → ${transport(flow.dst, flow.dstPort)}`,
    `${countWords(flow)}, ${offset(flow.firstAt - start)} to ${offset(flow.lastAt - start)}`,
    ...flow.rtp.map((stream) => readable(rtpText(stream), 200)),
    bucketWords(flow, time, start),
    ...flow.blocks.slice(0, 2).map((block) => [block.text, frame(block)].filter(Boolean).join(' ')),
  ]);
}

function flowName(flow: PageFlow): Run[][] {
  const codecs = [...new Set(flow.rtp.map(codecsText))].join(', ');
  const what = codecs === '' ? kindsOf(flow) : `${kindsOf(flow)} ${readable(codecs, 40)}`;
  const counts: Run[] = [{ text: `${what} `, font: 'small', tone: 'quiet' }];
  if (flow.passed > 0)
    counts.push({ text: `✓ ${countText(flow.passed)} passed `, font: 'small', tone: 'good' });
  if (flow.blocked > 0)
    counts.push({ text: `✕ ${countText(flow.blocked)} blocked `, font: 'small', tone: 'bad' });
  const lost = flow.rtp.reduce((sum, stream) => sum + Math.max(0, stream.lost), 0);
  if (lost > 0) counts.push({ text: `${countText(lost)} lost`, font: 'small', tone: 'quiet' });
  const from: Run[] = [{ text: transport(flow.src, flow.srcPort), font: 'mono' }];
  from.push({ text: ` → :${flow.dstPort}`, font: 'mono', tone: 'quiet' });
  return [from, counts];
}

/** The usual number of packets in a bucket, which is drawn at most of the height. */
function typicalCount({ density: { passed, blocked } }: PageFlow): number {
  const counts = [...passed, ...blocked].filter((count) => count > 0).sort((a, b) => a - b);
  return counts[Math.floor(counts.length / 2)] ?? 1;
}

function bars(
  sheet: Sheet,
  flow: PageFlow,
  outcome: 'passed' | 'blocked',
  box: (height: number) => [y: number, height: number],
  reach: number,
  typical: number,
): SVGPathElement | null {
  const { density, lastAt } = flow;
  let path = '';
  for (const [index, count] of density[outcome].entries()) {
    if (count === 0) continue;
    const from = density.from + index * density.width;
    const x = placeOf(sheet, from);
    const width = Math.max(2, placeOf(sheet, Math.min(from + density.width, lastAt)) - x - 0.75);
    const [y, height] = box(reach * Math.min(1, 0.3 + 0.6 * (count / typical)));
    path += `M${round(x)} ${round(y)}h${round(width)}v${round(height)}h${round(-width)}z`;
  }
  return path === '' ? null : svg('path', { class: `packets ${outcome}`, d: path });
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

function countWords({ passed, blocked }: PageFlow): string {
  const words = [];
  if (passed > 0) words.push(`${plural(passed, 'packet')} passed`);
  if (blocked > 0) words.push(`${plural(blocked, 'packet')} blocked`);
  return words.join(', ');
}

function bucketWords({ density }: PageFlow, time: number, start: number): string {
  const index = Math.floor((time - density.from) / density.width);
  const passed = density.passed[index] ?? 0;
  const blocked = density.blocked[index] ?? 0;
  const from = Math.max(0, density.from + index * density.width - start);
  const when = `in the ${span(density.width)} from ${offset(from)}`;
  if (passed + blocked === 0) return 'nothing at this moment';
  return `${when}: ${[passed > 0 ? `${passed} passed` : '', blocked > 0 ? `${blocked} blocked` : ''].filter(Boolean).join(', ')}`;
}

function drawRest(sheet: Sheet, flows: readonly PageFlow[]): void {
  const passed = flows.reduce((sum, flow) => sum + flow.passed, 0);
  const blocked = flows.reduce((sum, flow) => sum + flow.blocked, 0);
  const text = `and ${plural(flows.length, 'more flow')}: ${countText(passed)} passed, ${countText(blocked)} blocked`;
  titleRow(sheet, 22, [{ text, font: 'small', tone: 'quiet' }]);
}
