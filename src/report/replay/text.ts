import { portsText, transportText } from '../../call/description.ts';
import { REFUSALS } from '../../call/refusal.ts';
import { printable } from '../../printable.ts';
import { columnsOf, type Style, wrapText } from '../style.ts';
import { dateText, spanText } from '../time.ts';
import type {
  CallReport,
  FlowReport,
  LooseRefusal,
  MessageLine,
  PinholeReport,
  Place,
  RefusalReport,
  ReplayReport,
} from './model.ts';

/** What is written: everything, the calls with their ladders alone, or what was refused or blocked alone. */
export type TextParts = 'all' | 'calls' | 'refused';

/** The report for people, in pieces. Whatever comes from the network is escaped. */
export function* replayText(report: ReplayReport, parts: TextParts, style: Style): Generator<string> {
  const page = createPage(report, style, { ended: 'when the capture ends', open: 'the end of the capture' });
  yield* page.summary(report);
  const byLeg = flowsByLeg(report);
  if (parts !== 'refused') {
    for (const call of report.calls) yield* page.call(call, byLeg.get(call.hash) ?? [], parts);
  }
  if (parts === 'calls') return;
  if (parts === 'all') yield* page.orphans(report.media.filter(({ callId }) => callId === null));
  else yield* page.refusedByCall(report.calls);
  yield* page.looseRefusals(report.refusals);
  yield* page.blocked(report.media.filter(({ blocks }) => blocks.length > 0));
}

/** One call that a daemon has seen, as `replayText` writes it. Places count the packets that the daemon received. */
export function callText(call: CallReport, style: Style): Generator<string> {
  const page = createPage({ files: [''] }, style, { ended: 'now', open: 'now, still open' });
  return page.call(call, [], 'live');
}

/** Every flow under one leg: its own, or the first with its Call-ID. */
function flowsByLeg({ calls, media }: ReplayReport): Map<string, FlowReport[]> {
  const legs = new Map<string, FlowReport[]>(calls.map(({ hash }) => [hash, []]));
  const first = new Map<string, string>();
  for (const { callId, hash } of calls) if (!first.has(callId)) first.set(callId, hash);
  for (const flow of media) {
    const own = legs.get(flow.leg ?? '') ?? legs.get(first.get(flow.callId ?? '') ?? '');
    own?.push(flow);
  }
  return legs;
}

const INDENT = '  ';

/** How is said what has not come to an end. */
interface Unfinished {
  readonly ended: string;
  readonly open: string;
}

function createPage({ files }: Pick<ReplayReport, 'files'>, style: Style, unfinished: Unfinished) {
  const { strong, quiet, good, bad, caution, width } = style;
  const many = files.length > 1;

  function frameOf({ frame, file }: Place): string {
    return many ? `#${file + 1}:${frame}` : `#${frame}`;
  }

  /** `text` in lines that hang under each other, the first after `lead`. */
  function* hanging(lead: string, text: string, indent: number): Generator<string> {
    const lines = wrapText(text, width - indent);
    for (const [index, line] of lines.entries()) {
      yield `${index === 0 ? lead.padEnd(indent) : ' '.repeat(indent)}${line}\n`;
    }
  }

  // --- the whole ----------------------------------------------------------------------------------------

  function* summary(report: ReplayReport): Generator<string> {
    const { frames, firstAt, lastAt, sip, media, calls, inside, truncated, unreadable } = report;
    for (const [index, file] of files.entries()) {
      const damage = report.damage.find((one) => one.file === index);
      const note = damage === undefined ? '' : bad(`  damaged, read up to offset ${damage.offset}`);
      yield `${strong(printable(file, 200))}${many ? quiet(`  frames #${index + 1}:n`) : ''}${note}\n`;
    }
    const span = firstAt === null ? '' : `, ${spanText((lastAt ?? firstAt) - firstAt)}`;
    const start = firstAt === null ? '' : ` from ${dateText(firstAt)} UTC`;
    yield row('frames', `${frames}${span}${start}`);
    if (truncated > 0) yield row('', caution(`${truncated} frames were cut by the snap length`));
    for (const [reason, count] of unreadable) {
      if (reason !== 'link-not-ip') yield row('', quiet(`${count} not readable: ${reason}`));
    }
    const transports = [`${sip.byTransport.udp} UDP`, `${sip.byTransport.tcp} TCP`];
    const malformed = sip.malformed === 0 ? '' : `, ${caution(`${sip.malformed} malformed`)}`;
    yield row('SIP', `${plural(sip.messages, 'message')} (${transports.join(', ')})${malformed}`);
    const pinholes = calls.reduce((sum, call) => sum + call.pinholes.length, 0);
    yield row('calls', `${calls.length}, with ${plural(pinholes, 'pinhole')}`);
    const blocked = media.reduce((sum, flow) => sum + flow.blocked, 0);
    const passed = media.reduce((sum, flow) => sum + flow.passed, 0);
    const outcome = blocked === 0 ? 'none blocked' : bad(`${blocked} blocked`);
    yield row('media', `${plural(media.length, 'flow')}, ${plural(passed, 'packet')} passed, ${outcome}`);
    if (inside !== 'any') {
      yield row('inside', inside.join(', '));
      if (report.insideAssumed)
        yield row('', quiet('assumed, for they signal with public addresses; --inside says which are'));
      yield row('', quiet('what leaves it passes; what enters it needs a pinhole or its state'));
    }
    const { from, to } = report.window;
    if (from !== null || to !== null) {
      yield row(
        'shown',
        `${from === null ? 'start' : dateText(from)} to ${to === null ? 'end' : dateText(to)}`,
      );
    }
  }

  function row(name: string, value: string): string {
    return `${INDENT}${name.padEnd(8)}${value}\n`;
  }

  // --- a call -------------------------------------------------------------------------------------------

  function* call(
    one: CallReport,
    flows: readonly FlowReport[],
    parts: TextParts | 'live',
  ): Generator<string> {
    const { parties, from, to, messages, messagesOmitted, pinholes, refusals } = one;
    yield `\n${strong(`Call ${printable(one.callId, width - 6)}`)}\n`;
    yield row('from', printable(from, width - 11));
    yield row('to', printable(to, width - 11));
    yield row(
      'A, B',
      `${parties[0]}, ${parties[1]}${messages.every(({ transport }) => transport === 'tcp') ? ' over TCP' : ''}`,
    );
    yield row('start', `${dateText(one.startedAt)} UTC`);
    yield one.endedAt === null ? row('state', `${one.state} ${unfinished.ended}`) : row('end', endOf(one));
    const media = parts === 'all' ? verdict(flows, one.answeredAt === null ? [] : pinholes) : '';
    if (media !== '') yield* hanging('  media', media, 10);
    yield '\n';
    for (const line of messages) yield* ladder(one, line);
    if (messagesOmitted > 0) yield `${INDENT}${quiet(`and ${messagesOmitted} more messages`)}\n`;
    if (parts === 'calls') return;
    if (pinholes.length > 0) yield `\n${INDENT}Pinholes\n`;
    for (const pinhole of pinholes) yield* pinholeLines(pinhole, one);
    if (flows.length > 0) yield `\n${INDENT}Media\n`;
    for (const flow of flows) yield* flowLines(flow);
    yield* refusalLines(refusals.filter(({ reason }) => !isNormal(reason)));
    const usual = refusals.filter(({ reason }) => isNormal(reason)).length;
    if (usual > 0)
      yield `\n${INDENT}${quiet(`${plural(usual, 'stream')} of the far end: nothing to open here`)}\n`;
  }

  function endOf({ endedAt, endReason, endStatus, startedAt }: CallReport): string {
    const status = endStatus === 0 ? '' : ` ${endStatus}`;
    return `${endReason}${status} after ${spanText(endedAt! - startedAt)}`;
  }

  /** What became of the media, by the host it goes to: the answer to "why is there no audio". */
  function verdict(flows: readonly FlowReport[], pinholes: readonly PinholeReport[]): string {
    const hosts = new Map<string, { passed: number; blocked: number }>();
    for (const { address } of pinholes) hosts.set(address, { passed: 0, blocked: 0 });
    for (const { source, destination, passed, blocked } of flows) {
      if (source === destination) continue;
      const host = hosts.get(destination) ?? { passed: 0, blocked: 0 };
      hosts.set(destination, host);
      host.passed += passed;
      host.blocked += blocked;
    }
    const words = [...hosts].map(([address, { passed, blocked }]) => {
      if (passed + blocked === 0) return `to ${address} ${caution('nothing came')}`;
      if (blocked === 0) return `to ${address} ${good('passed')}`;
      return `to ${address} ${bad(passed === 0 ? 'BLOCKED' : `${plural(blocked, 'packet')} BLOCKED`)}`;
    });
    return words.join(', ');
  }

  function* ladder({ startedAt, parties }: CallReport, line: MessageLine): Generator<string> {
    const time = `+${((line.at - startedAt) / 1000).toFixed(3)}`.padStart(10);
    const again = line.repeats === 0 ? '' : quiet(` (${line.repeats + 1} times)`);
    const stranger = strangerOf(line, parties);
    const forward = line.source === parties[0] || (stranger !== null && line.destination === parties[1]);
    const ends = stranger === null ? 'AB' : forward ? '?B' : 'A?';
    const lead = `${time} ${frameOf(line.place).padStart(7)}  ${ends[0]} ${forward ? '-->' : '<--'} ${ends[1]}  `;
    const { summary: what, description } = line;
    const indent = lead.length;
    const fits =
      description !== null && indent + what.length + columnsOf(again) + 2 + description.length <= width;
    if (fits) yield `${lead}${strong(what)}${again}  ${description}\n`;
    else yield* hanging(lead, `${strong(what)}${again}`, indent);
    if (stranger !== null) yield* hanging('', bad(`? is ${stranger}, no party of the call`), 22);
    if (description === null || fits) return;
    const column = indent + 40 > width ? 22 : indent;
    for (const stream of description.split(', ')) yield* hanging('', stream, column);
  }

  function* pinholeLines(
    pinhole: PinholeReport,
    { startedAt: start, answeredAt }: CallReport,
  ): Generator<string> {
    const { protocol, address, ports, media, kind, sources, sourcePort, packets } = pinhole;
    const from = sources === 'any' ? 'any' : sources.join(', ');
    const port = sourcePort === null ? '' : ` port ${sourcePort}`;
    const target = `${protocol} to ${transportText(address, portsText(ports))} from ${from}${port}`;
    yield* hanging('    ', target, 4);
    const opened = `+${((pinhole.openedAt - start) / 1000).toFixed(3)} (${frameOf(pinhole.opened)})`;
    const nothing = answeredAt === null ? quiet('nothing came') : caution('nothing came');
    const use = packets === 0 ? nothing : plural(packets, 'packet');
    const what = `${printable(media, 20)} ${kind}`;
    yield* hanging('', `${what}, ${quiet(`${opened} to ${closing(pinhole, start)}`)}, ${use}`, 8);
  }

  function closing({ closedAt, closed, closeReason }: PinholeReport, start: number): string {
    if (closedAt === null) return unfinished.open;
    const by = closed === null ? `${closeReason}` : `${frameOf(closed)} ${closeReason}`;
    return `+${((closedAt - start) / 1000).toFixed(3)} (${by})`;
  }

  function* flowLines(flow: FlowReport): Generator<string> {
    yield `    ${flowText(flow)}\n`;
    yield `        ${kindsOf(flow)}: ${countsOf(flow)}\n`;
  }

  function countsOf({ passed, blocked, outbound }: FlowReport): string {
    const words: string[] = [];
    if (passed > 0) words.push(good(`${passed} passed`));
    if (outbound > 0) words.push(quiet(`(${outbound} outbound)`));
    if (blocked > 0) words.push(bad(`${blocked} BLOCKED`));
    return words.join(' ');
  }

  function* refusalLines(refusals: readonly RefusalReport[]): Generator<string> {
    if (refusals.length === 0) return;
    yield `\n${INDENT}Refused\n`;
    for (const { reason, detail, place } of refusals) {
      yield* hanging('    ', `${caution(reason)} ${quiet(frameOf(place))} ${detail}`, 4);
    }
    yield* advise(refusals);
  }

  const advised = new Set<string>();

  /** What to do about these refusals, said once in the whole report. */
  function* advise(refusals: readonly RefusalReport[]): Generator<string> {
    for (const { reason } of refusals) {
      if (advised.has(reason)) continue;
      advised.add(reason);
      yield* hanging('        ', quiet(`${reason}: ${REFUSALS[reason].advice}`), 8);
    }
  }

  // --- beside the calls ---------------------------------------------------------------------------------

  function* orphans(flows: readonly FlowReport[]): Generator<string> {
    if (flows.length === 0) return;
    yield `\n${strong('Media of no call')}\n`;
    const groups = alike(flows);
    for (const group of groups.slice(0, MAX_LISTED)) {
      for (const flow of group.slice(0, MAX_OF_GROUP)) yield* flowLines(flow);
      yield more(group.length - MAX_OF_GROUP, 'between these hosts');
    }
    yield more(groups.length - MAX_LISTED, 'between other hosts');
  }

  function* refusedByCall(calls: readonly CallReport[]): Generator<string> {
    for (const { callId, refusals } of calls) {
      const news = refusals.filter(({ reason }) => !isNormal(reason));
      if (news.length === 0) continue;
      yield `\n${strong(`Call ${printable(callId, width - 6)}`)}\n`;
      yield* refusalLines(news);
    }
  }

  function* looseRefusals(refusals: readonly LooseRefusal[]): Generator<string> {
    if (refusals.length === 0) return;
    yield `\n${strong('Refused outside calls')}\n`;
    for (const { reason, detail, place, count } of refusals.slice(0, MAX_LISTED)) {
      const times = count === 1 ? '' : ` (${count} times)`;
      yield* hanging('    ', `${caution(reason)} ${quiet(frameOf(place))}${times} ${detail}`, 4);
    }
    yield more(refusals.length - MAX_LISTED, 'refused');
    yield* advise(refusals.slice(0, MAX_LISTED));
  }

  function* blocked(flows: readonly FlowReport[]): Generator<string> {
    if (flows.length === 0) return;
    yield `\n${strong('Blocked media, and why')}\n`;
    const groups = alike(flows);
    for (const group of groups.slice(0, MAX_LISTED)) {
      yield '\n';
      for (const flow of group.slice(0, MAX_OF_GROUP)) {
        yield `${INDENT}${bad(flowText(flow))}\n`;
        yield `${INDENT}${INDENT}${kindsOf(flow)}: ${flow.blocked} of ${plural(flow.packets, 'packet')} blocked\n`;
      }
      yield more(group.length - MAX_OF_GROUP, 'between these hosts');
      const { blocks } = group[0]!;
      for (const block of blocks) {
        const which =
          blocks.length === 1 ? '' : `${plural(block.packets, 'packet')} from ${frameOf(block.first)} on: `;
        yield* hanging('    why', `${which}${block.text}`, 9);
        if (block.advice !== '') yield* hanging('    do', block.advice, 9);
      }
    }
    yield more(groups.length - MAX_LISTED, 'between other hosts');
  }

  function more(count: number, what: string): string {
    return count <= 0 ? '' : `${INDENT}${quiet(`and ${count} more ${what}; --json has all of them`)}\n`;
  }

  return { summary, call, orphans, refusedByCall, looseRefusals, blocked };
}

const MAX_LISTED = 50;
const MAX_OF_GROUP = 8;

/** Flows between the same hosts that were blocked for the same reasons belong together: RTP with its RTCP. */
function alike(flows: readonly FlowReport[]): FlowReport[][] {
  const groups = new Map<string, FlowReport[]>();
  for (const flow of flows) {
    const why = flow.blocks.map(({ reason, advice }) => `${reason} ${advice}`);
    const key = [flow.source, flow.destination, flow.callId, ...why].join('\n');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [flow]);
    else group.push(flow);
  }
  return [...groups.values()];
}

/** The host of a message that is neither party of the call, if there is one. */
function strangerOf({ source, destination }: MessageLine, parties: readonly string[]): string | null {
  return [source, destination].find((one) => !parties.includes(one)) ?? null;
}

/** A refusal that every call with the outside has. */
function isNormal(reason: string): boolean {
  return reason === 'not-inside';
}

function flowText({ source, sourcePort, destination, destinationPort }: FlowReport): string {
  return `${transportText(source, sourcePort)} -> ${transportText(destination, destinationPort)}`;
}

function kindsOf({ kinds }: FlowReport): string {
  const names = Object.entries(kinds).sort(([, a], [, b]) => b - a);
  return names.map(([name]) => (name === 'other' ? 'other UDP' : name.toUpperCase())).join(', ');
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
