import type { Address } from '../address/address.ts';
import { networkSet } from '../address/network.ts';
import { annotated } from '../config/annotated.ts';
import { plural } from '../counted.ts';
import type { CallReport } from '../history/call-report.ts';
import { printable } from '../printable.ts';
import { dateText, spanText } from '../report/time.ts';
import { refusalText } from './compare.ts';
import type { Proposal } from './proposal.ts';
import { callsIn, type SeenStream } from './seen.ts';

/** What a learned configuration leaves shut, and what it stands in place of. Plain data, for text and JSON alike. */
export interface Around {
  readonly calls: number;
  /** Those that needed a pinhole. */
  readonly withMedia: number;
  /** ms since the epoch; null without a call. */
  readonly firstAt: number | null;
  readonly lastAt: number | null;
  readonly replaces: Replaced | null;
  readonly refused: readonly Shut[];
  /** Outside addresses in calls that gave no reason for a line, and in how many. */
  readonly notAdmitted: readonly { readonly address: Address; readonly calls: number }[];
}

/** The static rule that would let the same media in. */
interface Replaced {
  readonly hosts: readonly Address[];
  readonly ports: readonly string[];
  /** Ports of all hosts that it has open, always and to everybody. */
  readonly portsOpen: number;
  /** Ports that these calls had open at a time at most, and for how long all of them together, in ms. */
  readonly mostOpen: number;
  readonly portTime: number;
}

interface Shut {
  readonly reason: string;
  /** Calls, or flows of media. */
  readonly count: number;
  readonly what: 'call' | 'flow';
  /** The first of them. */
  readonly text: string;
}

const MOST_SHOWN = 20;
/** Not one is about what a call needs: the far end's media, and what is on hold. */
const NORMAL: ReadonlySet<string> = new Set(['not-inside', 'on-hold']);

export function aroundOf({ lines, settings, calls, after }: Proposal): Around {
  const needed = calls.filter((call) => call.needed.length > 0);
  const times = calls.map(({ report }) => report.startedAt);
  const streams = needed.flatMap((call) =>
    call.needed.map((stream) => ({ stream, end: call.report.endedAt })),
  );
  const last = Math.max(...times, ...calls.map(({ report }) => report.endedAt ?? 0));
  return {
    calls: callsIn(calls),
    withMedia: callsIn(needed),
    firstAt: calls.length === 0 ? null : Math.min(...times),
    lastAt: calls.length === 0 ? null : last,
    replaces: settings === null ? null : replacedBy(streams, last, lines),
    refused: [...refusedIn(after?.calls ?? calls.map(({ report }) => report), streams), ...blockedIn(after)],
    notAdmitted: settings === null ? [] : strangersIn(calls, settings),
  };
}

type Ended = { readonly stream: SeenStream; readonly end: number | null };

function replacedBy(streams: readonly Ended[], last: number, lines: Proposal['lines']): Replaced {
  const hosts = [...new Set(streams.map(({ stream }) => stream.host))].sort();
  const ports = lines.filter(({ key }) => key === 'media-ports').map(({ value }) => String(value));
  const size = ports.reduce((sum, range) => {
    const [from, to = from] = range.split('-').map(Number) as [number, number?];
    return sum + to - from + 1;
  }, 0);
  const steps = streams.flatMap(
    ({
      stream: {
        openedAt,
        closedAt,
        ports: [from, to],
      },
      end,
    }) => {
      const closes = Math.max(openedAt, closedAt ?? end ?? last);
      return [
        { at: openedAt, by: to - from + 1 },
        { at: closes, by: -(to - from + 1) },
      ];
    },
  );
  steps.sort((a, b) => a.at - b.at || a.by - b.by);
  let open = 0;
  let mostOpen = 0;
  let portTime = 0;
  for (const [index, { at, by }] of steps.entries()) {
    open += by;
    mostOpen = Math.max(mostOpen, open);
    portTime += open * ((steps[index + 1]?.at ?? at) - at);
  }
  return { hosts, ports, portsOpen: size * hosts.length, mostOpen, portTime };
}

/** By reason, but for what the lines settle. */
function refusedIn(reports: readonly CallReport[], streams: readonly Ended[]): Shut[] {
  const settled = new Set(streams.flatMap(({ stream }) => stream.refusal?.detail ?? []));
  const byReason = new Map<string, { calls: Set<string>; text: string }>();
  for (const { callId, refusals } of reports) {
    for (const { reason, detail } of refusals) {
      if (NORMAL.has(reason) || settled.has(detail)) continue;
      const known = byReason.get(reason) ?? { calls: new Set(), text: refusalText({ reason, detail }) };
      byReason.set(reason, known);
      known.calls.add(callId);
    }
  }
  return [...byReason].map(([reason, { calls, text }]) => ({
    reason,
    count: calls.size,
    what: 'call',
    text,
  }));
}

function blockedIn(after: Proposal['after']): Shut[] {
  const byReason = new Map<string, { count: number; text: string }>();
  for (const { blocks } of after?.media ?? []) {
    for (const { reason, text, advice } of blocks) {
      const known = byReason.get(reason) ?? { count: 0, text: advice === '' ? text : `${text} ${advice}` };
      byReason.set(reason, known);
      known.count++;
    }
  }
  return [...byReason].map(([reason, { count, text }]) => ({ reason, count, what: 'flow', text }));
}

function strangersIn(
  calls: Proposal['calls'],
  { inside, peers }: NonNullable<Proposal['settings']>,
): Around['notAdmitted'] {
  const isKnown = networkSet([...inside, ...peers.flatMap(({ networks }) => networks)]);
  const counts = new Map<Address, Set<string>>();
  for (const { report } of calls) {
    for (const address of report.parties) {
      if (isKnown(address)) continue;
      counts.set(address, (counts.get(address) ?? new Set()).add(report.callId));
    }
  }
  return [...counts]
    .map(([address, ids]) => ({ address, calls: ids.size }))
    .sort((a, b) => b.calls - a.calls || (a.address < b.address ? -1 : 1));
}

/** The configuration as YAML: what it comes from, each line with its reason, what it replaces, what stays shut. */
export function proposalText(proposal: Proposal, around: Around, from: string): string {
  const { calls, withMedia, firstAt, lastAt } = around;
  const when =
    firstAt === null
      ? ''
      : `, ${dateText(firstAt).slice(0, 16)} to ${dateText(lastAt ?? firstAt).slice(0, 16)} UTC`;
  const tried = proposal.comparison;
  const head = [
    `Configuration of pinholed, learned from ${from}: ${plural(calls, 'call')}, ${withMedia} of them with media or answered${when}.`,
    'It is the least under which those have their audio, and nothing is in it that no call had need of. Who else is to ' +
      'have calls, and which other ports your PBX may choose, it cannot know: widen it where you do.',
    ...(tried === null
      ? []
      : tried.losing.length === 0
        ? [`Tried: with it the calls have all that they have with everything allowed.`]
        : [
            `Tried: with it ${plural(tried.losing.length, 'call')} have less than with everything allowed:`,
            ...tried.losing
              .slice(0, MOST_SHOWN)
              .map(({ report, lines }) => `  ${printable(report.callId, 48)}: ${lines.join('; ')}`),
          ]),
  ];
  return annotated(head, proposal.lines, [...replacesText(around.replaces), ...shutText(around)]);
}

function replacesText(replaced: Replaced | null): string[] {
  if (replaced === null) return [];
  const { hosts, ports, portsOpen, mostOpen, portTime } = replaced;
  const pf = ports.map((range) => range.replace('-', ':')).join(', ');
  const rules = [4, 6].flatMap((family) => {
    const of = hosts.filter((host) => host.includes(':') === (family === 6));
    if (of.length === 0) return [];
    const [inet, ip] = family === 4 ? ['inet', 'ip'] : ['inet6', 'ip6'];
    return [
      `  pf: pass in ${inet} proto udp from any to { ${of.join(', ')} } port { ${pf} }`,
      `  nft: ${ip} daddr { ${of.join(', ')} } udp dport { ${ports.join(', ')} } accept`,
    ];
  });
  return [
    'It takes the place of a static rule, which can go where you have one:',
    ...rules,
    `That rule has ${plural(portsOpen, 'port')} open, always and to everybody. These calls had at most ${mostOpen} open at a ` +
      `time, to the parties of the call, and ${spanText(portTime)} of one open port in all.`,
  ];
}

function shutText({ refused, notAdmitted }: Around): string[] {
  const shut = refused.map(({ reason, count, what, text }) => {
    const one = text.startsWith(reason) ? text : `${reason}: ${text}`;
    return `  ${what === 'call' ? plural(count, 'call') : plural(count, 'flow of media', 'flows of media')}: ${one}`;
  });
  const strangers = notAdmitted
    .slice(0, MOST_SHOWN)
    .map(
      ({ address, calls }) =>
        `  ${address}: ${plural(calls, 'call')} without an answer or media, no reason for a line`,
    );
  const more = notAdmitted.length - MOST_SHOWN;
  if (more > 0) strangers.push(`  and ${more} more addresses`);
  if (shut.length + strangers.length === 0) return ['Nothing of these calls is refused with it.'];
  return ['', 'What is refused with it:', ...shut, ...strangers];
}
