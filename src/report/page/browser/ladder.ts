import { hostOf } from '../../replay/hosts.ts';
import type { CallPicture, PageMessage } from '../model.ts';
import { partyName, readable, transport } from '../text.ts';
import { svg, textWidth } from './dom.ts';
import type { TimeScale } from './scale.ts';
import { edgeOf, MARGIN, mark, nameRow, placeOf, type Run, type Sheet, titleRow } from './sheet.ts';
import { frame, offset } from './words.ts';

/** Messages that are drawn; the rest stands in the list below the picture. */
export const MAX_ARROWS = 150;

const FLAG = 16;
const MAX_FLAGS = 7;
const LANE = 66;
const HEAD = 6;

/** When each arrow stands: messages of one moment (in one TCP segment) follow each other by a microsecond. */
export function arrowTimes({ messages }: CallPicture['call']): number[] {
  let last = Number.NEGATIVE_INFINITY;
  return messages.slice(0, MAX_ARROWS).map(({ at }) => {
    last = at > last ? at : last + 1e-6;
    return last;
  });
}

/** The hosts as lines along the time axis, and between them an arrow for each message. */
export function drawLadder(sheet: Sheet, { call }: CallPicture): void {
  const messages = call.messages.slice(0, MAX_ARROWS);
  const host = hostOf(call);
  const ends = (message: PageMessage) =>
    [host(message.src, message.srcPort), host(message.dst, message.dstPort)] as const;
  const hosts = [...new Set([...call.hops, ...messages.flatMap(ends)])];
  const arrows = arrowTimes(call).map((at) => placeOf(sheet, at));
  const flags = flagRows(messages.map((message, index) => [arrows[index]!, flagText(message)]));
  const top = sheet.y + (Math.max(-1, ...flags) + 1) * FLAG + 4;
  sheet.y = top;

  const lanes = new Map<string, number>();
  for (const name of hosts) lanes.set(name, lane(sheet, nameOf(name, call), name === hosts.at(-1)));
  for (const [name, y] of lanes) {
    sheet.plot.append(svg('line', { class: 'lane', x1: 0, x2: edgeOf(sheet), y1: y, y2: y }));
    if (call.answeredAt === null || roleOf(name, call) === 'stranger') continue;
    const x1 = placeOf(sheet, call.answeredAt);
    const x2 = placeOf(sheet, call.endedAt ?? sheet.scale.end);
    sheet.plot.append(svg('line', { class: 'lane talking', x1, x2, y1: y, y2: y }));
  }
  for (const [index, message] of messages.entries()) {
    const place = arrows[index]!;
    const [from, to] = ends(message).map((name) => lanes.get(name)!) as [number, number];
    const flag = top - 4 - flags[index]! * FLAG;
    const arrow = arrowOf(message, place, from, to, flag);
    sheet.plot.append(arrow);
    sheet.back.append(
      svg('line', { class: 'stem', x1: place, x2: place, y1: flag - 2, y2: Math.min(from, to) }),
    );
    mark(sheet, arrow, message.at, () => [
      readable(message.summary),
      `${transport(message.src, message.srcPort)} → ${transport(message.dst, message.dstPort)} (${message.transport})`,
      [offset(message.at - call.startedAt), frame(message), repeats(message)].filter(Boolean).join(', '),
      message.sdp === null ? 'no session description' : `SDP: ${readable(message.sdp, 400)}`,
    ]);
  }
}

/** The height of a host's line. Where its name does not stand beside it, only that of the last stands below. */
function lane(sheet: Sheet, [address, more]: readonly [Run, Run], isLast: boolean): number {
  if (sheet.gutter > 0) return nameRow(sheet, LANE, [[address], [more]]) + LANE / 2;
  const together = [address, { ...more, text: `  ${more.text}` }];
  if (!isLast) return nameRow(sheet, LANE - 4, [together]) + 8;
  const y = sheet.y;
  titleRow(sheet, 26, together);
  return y;
}

type Role = 'caller' | 'callee' | 'proxy' | 'stranger';

function roleOf(name: string, call: CallPicture['call']): Role {
  const { hops, parties, ports } = call;
  const callee = hops.indexOf(hostOf(call)(parties[1], ports?.[1] ?? 0));
  const place = hops.indexOf(name);
  if (place === 0) return 'caller';
  if (place === callee) return 'callee';
  return place > 0 && place < callee ? 'proxy' : 'stranger';
}

const ROLES: Readonly<Record<Role, string>> = {
  caller: 'caller',
  callee: 'callee',
  proxy: 'on the way',
  stranger: 'not a party of this call',
};

function nameOf(host: string, call: CallPicture['call']): [Run, Run] {
  const role = roleOf(host, call);
  const name = role === 'caller' ? partyName(call.from) : role === 'callee' ? partyName(call.to) : '';
  return [
    { text: host, font: 'strong' },
    { text: name === '' ? ROLES[role] : `${ROLES[role]} · ${name}`, font: 'small', tone: 'quiet' },
  ];
}

function repeats({ repeats: count, copies }: PageMessage): string {
  const words = [
    ...(count === 0 ? [] : [`sent ${count + 1} times`]),
    ...(copies === 0 ? [] : [`seen ${copies + 1} times on its way`]),
  ];
  return words.join(', ');
}

function flagText({ summary, repeats: count }: PageMessage): string {
  return `${readable(summary, 40)}${count === 0 ? '' : ` ×${count + 1}`}`;
}

/** Pixels by which the words of the last messages stand out over the end of the scale and its margin. */
export function flagsBeyond(call: CallPicture['call'], scale: TimeScale): number {
  const ends = arrowTimes(call).map((at, index) => scale.x(at) + flagWidth(flagText(call.messages[index]!)));
  return Math.max(0, Math.ceil(Math.max(0, ...ends) - scale.width - MARGIN.right));
}

function flagWidth(text: string): number {
  return textWidth(text, 'body') + 8;
}

/**
 * For each flag (a text that begins right of its stem) the row above the lanes: 0 is the lowest. A flag stands
 * above every later one whose stem is under it, so that no stem runs through a text. In a burst that is too long
 * for that, it takes the lowest row where no other text is.
 */
function flagRows(flags: readonly (readonly [x: number, text: string])[]): number[] {
  const rows = flags.map(() => 0);
  for (let index = flags.length - 2; index >= 0; index--) {
    const [x, text] = flags[index]!;
    const end = x + flagWidth(text);
    const taken = new Set<number>();
    for (let later = index + 1; later < flags.length && flags[later]![0] < end; later++)
      taken.add(rows[later]!);
    const above = Math.max(-1, ...taken) + 1;
    const free = Array.from({ length: MAX_FLAGS }, (_, row) => row).find((row) => !taken.has(row));
    rows[index] = above < MAX_FLAGS ? above : (free ?? 0);
  }
  return rows;
}

function arrowOf(message: PageMessage, x: number, from: number, to: number, flag: number): SVGGElement {
  const { summary, sdp } = message;
  const kind = /^1[0-9][0-9]/.test(summary)
    ? 'provisional'
    : /^[3-6][0-9][0-9]/.test(summary)
      ? 'failure'
      : '';
  const down = to >= from;
  const tip = down ? to - 2 : to + 2;
  const base = down ? tip - HEAD : tip + HEAD;
  return svg(
    'g',
    { class: `arrow ${kind}` },
    svg('rect', { class: 'reach', x: x - 8, y: Math.min(from, to), width: 16, height: Math.abs(to - from) }),
    svg('line', { class: 'shaft', x1: x, x2: x, y1: from, y2: base }),
    svg('path', { class: 'head', d: `M${x} ${tip}L${x - 4} ${base}H${x + 4}Z` }),
    sdp === null ? null : svg('circle', { class: 'sdp', cx: x, cy: from, r: 3.5 }),
    svg('text', { class: 'flag body', x: x + 4, y: flag }, flagText(message)),
  );
}
