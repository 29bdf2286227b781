import { portsText, transportText } from '../../../call/description.ts';
import { isUsual } from '../../../call/refusal.ts';
import { countText, plural } from '../../../counted.ts';
import type { CallReport, MessageLine, PinholeReport } from '../../../history/call-report.ts';
import { printable } from '../../../printable.ts';
import { columnsOf } from '../../style.ts';
import { dateText, spanText } from '../../time.ts';
import { hopsOf, hostOf } from '../hosts.ts';
import type { FlowReport } from '../model.ts';
import { flowLines } from './flows.ts';
import { INDENT, type Paper } from './paper.ts';
import type { RefusalWriter } from './refusals.ts';

/** How is said what has not come to an end. */
interface UnfinishedWords {
  readonly ended: string;
  readonly open: string;
}

/** What of a call is written: its ladder alone, or that with its pinholes and refusals, or its media as well. */
export type CallParts = 'ladder' | 'live' | 'all';

export interface CallWriter {
  call(one: CallReport, flows: readonly FlowReport[], parts: CallParts, headline: string): Generator<string>;
  /** The ladder of a call alone. */
  ladder(one: CallReport): Generator<string>;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** Writes calls: who, when, the ladder, the pinholes, the media. */
export function createCallWriter(
  paper: Paper,
  refusals: RefusalWriter,
  unfinished: UnfinishedWords,
): CallWriter {
  const { style, frameOf, hanging, row } = paper;
  const { strong, quiet, bad, caution, width } = style;

  function* call(
    one: CallReport,
    flows: readonly FlowReport[],
    parts: CallParts,
    headline: string,
  ): Generator<string> {
    const { from, to, pinholes } = one;
    yield `\n${strong(`Call ${printable(one.callId, width - 6)}`)}\n`;
    if (headline !== '') yield* hanging('  verdict', headline, 10);
    yield row('from', printable(from, width - 11));
    yield row('to', printable(to, width - 11));
    yield* hosts(one);
    if (one.codecs !== '') yield* hanging('  codecs', one.codecs, 10);
    yield row('start', `${dateText(one.startedAt)} UTC`);
    yield one.endedAt === null ? row('state', `${one.state} ${unfinished.ended}`) : row('end', endOf(one));
    const media = parts === 'all' ? reached(flows, one) : '';
    if (media !== '') yield* hanging('  media', media, 10);
    yield '\n';
    yield* ladder(one);
    if (parts === 'ladder') return;
    if (pinholes.length > 0) yield `\n${INDENT}Pinholes\n`;
    for (const pinhole of pinholes) yield* pinholeLines(pinhole, one);
    if (flows.length > 0) yield `\n${INDENT}Media\n`;
    for (const flow of flows) yield* flowLines(paper, flow, one.startedAt);
    yield* refusals.list(one.refusals.filter(({ reason }) => !isUsual(reason)));
    const usual = one.refusals.filter(({ reason }) => isUsual(reason)).length;
    if (usual > 0)
      yield `\n${INDENT}${quiet(`${plural(usual, 'stream')} of the far end: nothing to open here`)}\n`;
  }

  /** Two parties in a row of their own; where there are more hosts, a letter for each. */
  function* hosts(one: CallReport): Generator<string> {
    const hops = hopsOf(one);
    const { parties, ports, messages } = one;
    const tcp =
      messages.length > 0 && messages.every(({ transport }) => transport === 'tcp') ? ' over TCP' : '';
    if (hops.length <= 2) {
      const [a = parties[0], b = parties[1]] = hops.length === 2 ? hops : parties;
      yield row('A, B', `${a}, ${b}${tcp}`);
      return;
    }
    const inside = onTheWay(one);
    const named = hops.map(
      (host, index) => `${letter(index)} ${host}${inside.has(host) ? '' : bad(' (no party of the call)')}`,
    );
    yield* hanging('  hosts', `${named.join(', ')}${tcp}`, 10);
    if (ports === null && hops.length > LETTERS.length)
      yield row('', quiet('more hosts than letters: ? stands for them'));
  }

  /** Hosts that the INVITE went through. */
  function onTheWay(one: CallReport): Set<string> {
    const host = hostOf(one);
    const found = new Set([
      host(one.parties[0], one.ports?.[0] ?? 0),
      host(one.parties[1], one.ports?.[1] ?? 0),
    ]);
    for (const line of one.messages) {
      if (line.summary !== 'INVITE') continue;
      found.add(host(line.source, line.sourcePort)).add(host(line.destination, line.destinationPort));
    }
    return found;
  }

  function letter(index: number): string {
    return LETTERS[index] ?? '?';
  }

  function endOf({ endedAt, endReason, endStatus, startedAt }: CallReport): string {
    const status = endStatus === 0 ? '' : ` ${endStatus}`;
    return `${endReason}${status} after ${spanText(endedAt! - startedAt)}`;
  }

  /** What became of the media, by the host it goes to. */
  function reached(flows: readonly FlowReport[], { answeredAt, pinholes, parties }: CallReport): string {
    const targets = new Map<string, { passed: number; blocked: number }>();
    if (answeredAt !== null)
      for (const { address } of pinholes) targets.set(address, { passed: 0, blocked: 0 });
    for (const { source, destination, passed, blocked } of flows) {
      if (source === destination && parties[0] !== parties[1]) continue;
      const host = targets.get(destination) ?? { passed: 0, blocked: 0 };
      targets.set(destination, host);
      host.passed += passed;
      host.blocked += blocked;
    }
    const words = [...targets].map(([address, { passed, blocked }]) => {
      if (passed + blocked === 0) return `to ${address} ${caution('nothing came')}`;
      if (blocked === 0) return `to ${address} ${style.good('passed')}`;
      return `to ${address} ${bad(passed === 0 ? 'BLOCKED' : `${plural(blocked, 'packet')} BLOCKED`)}`;
    });
    return words.join(', ');
  }

  function* ladder(one: CallReport): Generator<string> {
    const host = hostOf(one);
    const places = new Map(hopsOf(one).map((name, index) => [name, index]));
    const place = (address: string, port: number) => places.get(host(address, port)) ?? LETTERS.length;
    for (const line of one.messages) {
      const from = place(line.source, line.sourcePort);
      const to = place(line.destination, line.destinationPort);
      const ends = [letter(Math.min(from, to)), letter(Math.max(from, to))] as const;
      yield* ladderLine(one, line, `${ends[0]} ${from <= to ? '-->' : '<--'} ${ends[1]}`);
    }
    if (one.messagesOmitted > 0)
      yield `${INDENT}${quiet(`and ${countText(one.messagesOmitted)} more messages`)}\n`;
  }

  function* ladderLine({ startedAt }: CallReport, line: MessageLine, arrow: string): Generator<string> {
    const time = `+${((line.at - startedAt) / 1000).toFixed(3)}`.padStart(10);
    const lead = `${time} ${frameOf(line.place).padStart(7)}  ${arrow}  `;
    const { summary: what, description, repeats, copies } = line;
    const words = [
      ...(repeats === 0 ? [] : [`${repeats + 1} times`]),
      ...(copies === 0 ? [] : [`seen ${copies + 1} times`]),
    ];
    const again = words.length === 0 ? '' : quiet(` (${words.join(', ')})`);
    const indent = lead.length;
    const fits =
      description !== null && indent + what.length + columnsOf(again) + 2 + description.length <= width;
    if (fits) yield `${lead}${strong(what)}${again}  ${description}\n`;
    else yield* hanging(lead, `${strong(what)}${again}`, indent);
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

  return { call, ladder };
}
