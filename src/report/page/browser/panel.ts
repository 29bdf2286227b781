import { plural } from '../../../counted.ts';
import { codecsText } from '../../replay/rtp-text.ts';
import type { CallPicture, PageFlow, PageRtp } from '../model.ts';
import { readable, transport } from '../text.ts';
import { type Child, el } from './dom.ts';
import { levelGlyph } from './glyph.ts';
import { MAX_ARROWS } from './ladder.ts';
import { drawPicture } from './picture.ts';
import { date, frame, kindsOf, offset, span } from './words.ts';

/** Said where people look for a number of lost packets. */
const NO_LOSS = 'not seen here; “pinholed replay” of a capture counts them';

export interface Panel {
  readonly element: HTMLElement;
  /** Draws it afresh, with what is known now. */
  update(picture: CallPicture): void;
  /** To be called when it is taken away. */
  close(): void;
}

/** One call, opened: what was wrong with it, its picture, and the same in words. */
export function createPanel(first: CallPicture): Panel {
  const holder = el('div', { class: 'holder' });
  const head = el('div', { class: 'head' });
  const tables = el('div', { class: 'tables' });
  const details = el('details', { class: 'words' }, el('summary', {}, 'Everything in words'), tables);
  const element = el('div', { class: 'panel' }, head, holder, legend(first), details);
  let picture = first;
  let width = 0;

  function draw(): void {
    width = holder.clientWidth;
    if (width > 0) holder.replaceChildren(drawPicture(picture, width));
  }

  function update(next: CallPicture): void {
    picture = next;
    head.replaceChildren(...headOf(picture));
    if (details.open) tables.replaceChildren(...tablesOf(picture));
    draw();
  }

  details.addEventListener('toggle', () => {
    tables.replaceChildren(...(details.open ? tablesOf(picture) : []));
  });
  const observer = new ResizeObserver(() => {
    if (Math.abs(holder.clientWidth - width) > 1) draw();
  });
  observer.observe(holder);
  update(first);
  return { element, update, close: () => observer.disconnect() };
}

function headOf({ call, isLive, verdict, mediaOmitted }: CallPicture): Child[] {
  const facts: [string, string][] = [
    ['Call-ID', readable(call.callId)],
    ['From', readable(call.from)],
    ['To', readable(call.to)],
    ['Codecs', call.codecs === '' ? 'none agreed on' : readable(call.codecs)],
    ['Start', `${date(call.startedAt)} UTC`],
    [call.endedAt === null ? 'State' : 'End', endOf(call)],
  ];
  if (isLive && call.answeredAt !== null) facts.push(['Lost packets', NO_LOSS]);
  const notes = [];
  if (call.messages.length + call.messagesOmitted > MAX_ARROWS) {
    notes.push(
      `Of ${plural(call.messages.length + call.messagesOmitted, 'message')} the first ${MAX_ARROWS} are drawn.`,
    );
  }
  if (mediaOmitted > 0) notes.push(`${plural(mediaOmitted, 'flow')} with fewer packets are left out.`);
  return [
    el(
      'p',
      { class: `verdict ${verdict.level}` },
      levelGlyph(verdict.level),
      el('span', {}, verdict.headline),
    ),
    ...verdict.causes.map(({ text, advice }) =>
      el(
        'dl',
        { class: 'cause' },
        el('dt', {}, 'Why'),
        el('dd', {}, text),
        ...(advice === '' ? [] : [el('dt', {}, 'What to do'), el('dd', {}, advice)]),
      ),
    ),
    el(
      'dl',
      { class: 'facts' },
      ...facts.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))),
    ),
    ...notes.map((note) => el('p', { class: 'note' }, note)),
  ];
}

function endOf({ state, startedAt, endedAt, endReason, endStatus }: CallPicture['call']): string {
  if (endedAt === null) return state;
  return `${endReason}${endStatus === null ? '' : ` ${endStatus}`} after ${span(endedAt - startedAt)}`;
}

function legend({ media }: CallPicture): HTMLElement {
  const entry = (kind: string, text: string) => el('li', {}, el('i', { class: `swatch ${kind}` }), text);
  return el(
    'ul',
    { class: 'legend' },
    media.length === 0 ? null : entry('passed', 'packets that passed'),
    media.length === 0 ? null : entry('blocked', 'packets that were blocked'),
    entry('pinhole', 'pinhole open'),
    entry('unused', 'pinhole that nothing came through'),
    entry('sdp', 'message with a session description'),
    entry('stretched', 'time stretched, so that each message can be read'),
  );
}

// --- in words -----------------------------------------------------------------------------------------------

function tablesOf({ call, media }: CallPicture): HTMLElement[] {
  const start = call.startedAt;
  const after = (at: number | null) => (at === null ? '' : offset(at - start));
  return [
    table(
      'Messages',
      ['Time', 'Where', 'From', 'To', 'Message', 'Session description'],
      call.messages.map((line) => [
        after(line.at),
        frame(line),
        transport(line.src, line.srcPort),
        transport(line.dst, line.dstPort),
        `${readable(line.summary)}${line.repeats === 0 ? '' : ` (${line.repeats + 1} times)`}`,
        readable(line.sdp ?? '', 400),
      ]),
    ),
    table(
      'Pinholes',
      ['To', 'From', 'For', 'Opened', 'Closed', 'Packets'],
      call.pinholes.map((one) => [
        `${one.protocol} ${transport(one.address, one.ports.join('-'))}`,
        one.sources.join(', '),
        `${readable(one.media, 20)} ${one.kind}`,
        after(one.openedAt),
        one.closedAt === null ? 'open' : `${after(one.closedAt)} ${one.closeReason}`,
        String(one.packets),
      ]),
    ),
    table(
      'Media',
      ['From', 'To', 'What', 'First', 'Last', 'Passed', 'Blocked', 'Why'],
      media.map((flow) => flowCells(flow, after)),
    ),
    table(
      'RTP (RFC 3550)',
      ['From', 'To', 'SSRC', 'Codec', 'First', 'Last', 'Packets', 'Lost', 'Jitter, mean', 'Jitter, max'],
      media.flatMap((flow) => flow.rtp.map((stream) => rtpCells(flow, stream, after))),
    ),
    table(
      'Refused',
      ['Time', 'Where', 'Reason', 'What'],
      call.refusals.map((one) => [
        after(one.at),
        frame(one),
        one.reason,
        [readable(one.detail, 300), readable(one.why, 400)].filter(Boolean).join('. '),
      ]),
    ),
  ].filter((one) => one !== null);
}

function flowCells(flow: PageFlow, after: (at: number) => string): string[] {
  return [
    transport(flow.src, flow.srcPort),
    transport(flow.dst, flow.dstPort),
    kindsOf(flow),
    after(flow.firstAt),
    after(flow.lastAt),
    String(flow.passed),
    String(flow.blocked),
    flow.blocks.map(({ text }) => text).join(' '),
  ];
}

function rtpCells(flow: PageFlow, stream: PageRtp, after: (at: number) => string): string[] {
  const { ssrc, packets, lost, jitterMean, jitterMax } = stream;
  const share = lost > 0 ? ` (${((lost / (packets + lost)) * 100).toFixed(1)} %)` : '';
  const ms = (jitter: number | null) => (jitter === null ? '' : `${jitter.toFixed(1)} ms`);
  return [
    transport(flow.src, flow.srcPort),
    transport(flow.dst, flow.dstPort),
    `0x${ssrc.toString(16).padStart(8, '0')}`,
    readable(codecsText(stream), 80),
    after(stream.firstAt),
    after(stream.lastAt),
    String(packets),
    `${lost}${share}`,
    ms(jitterMean),
    ms(jitterMax),
  ];
}

function table(
  title: string,
  heads: readonly string[],
  rows: readonly (readonly string[])[],
): HTMLElement | null {
  if (rows.length === 0) return null;
  return el(
    'table',
    {},
    el('caption', {}, title),
    el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, head)))),
    el('tbody', {}, ...rows.map((cells) => el('tr', {}, ...cells.map((cell) => el('td', {}, cell))))),
  );
}
