import { PARTIES } from '../../call/wanted.ts';
import { countText, plural } from '../../counted.ts';
import { answeredIn } from '../../history/traces.ts';
import type { CallVerdict, Level, PageCall, PageFlow, ShownCause } from './model.ts';

/** What of a call its verdict is made of; of its times only whether they are there. */
type JudgedCall = Pick<PageCall, 'parties' | 'answeredAt' | 'endedAt' | 'endReason'> & {
  readonly messages: readonly { readonly summary: string }[];
  readonly pinholes: readonly {
    readonly address: string;
    readonly media: string;
    readonly packets: number;
  }[];
};

/** The same of a flow. */
export type JudgedFlow = Pick<
  PageFlow,
  'src' | 'srcPort' | 'dst' | 'dstPort' | 'side' | 'kinds' | 'packets' | 'passed' | 'blocked'
> & {
  readonly blocks: readonly (ShownCause & { readonly reason: string; readonly packets: number })[];
};

interface Way {
  /** Whether packets of this direction would have been seen. */
  readonly watched: boolean;
  readonly flows: readonly JudgedFlow[];
  readonly passed: number;
  readonly blocked: number;
}

const MAX_CAUSES = 3;
/** The share of lost packets that nobody hears. */
const HARDLY = 0.01;

/**
 * What became of the media of a call, in words that need no knowledge of SIP. A live call has no flows: there the
 * packets count that its pinholes let through.
 */
export function verdictOf(call: JudgedCall, flows: readonly JudgedFlow[] | null): CallVerdict {
  const ways: readonly [Way, Way] =
    flows === null
      ? [throughPinholes(call, 0), throughPinholes(call, 1)]
      : [inFlows(call, flows, 0), inFlows(call, flows, 1)];
  const [level, headline] = judge(call, ways);
  return { level, headline, causes: causesOf(level, ways) };
}

const REPORTS = new Set(['rtcp']);
const CHECKS = new Set(['rtcp', 'stun', 'turn']);
/** What carries sound, a picture or a fax for certain. */
const MEDIA = ['rtp', 't38', 'dtls', 'zrtp'];
/** The same without: where media is known, a stray datagram is none. */
const NO_MEDIA = new Set([...CHECKS, 'other']);

function isOnly({ kinds }: Pick<PageFlow, 'kinds'>, some: ReadonlySet<string>): boolean {
  return Object.keys(kinds).every((kind) => some.has(kind));
}

/**
 * Without RTCP there is sound all the same, and ICE tries addresses that are not meant to answer: its checks are no
 * media, and that they are blocked counts only where nothing else came.
 */
function inFlows(call: JudgedCall, all: readonly JudgedFlow[], side: 0 | 1): Way {
  const own = all.filter((flow) => crosses(call, flow) && flow.side === side);
  const isKnown = all.some(({ kinds }) => MEDIA.some((kind) => kinds[kind] !== undefined));
  const media = own.filter((flow) => !isOnly(flow, isKnown ? NO_MEDIA : CHECKS));
  const flows = media.length > 0 ? media : own.filter((flow) => !isOnly(flow, REPORTS));
  return {
    watched: true,
    flows,
    passed: media.reduce((sum, flow) => sum + flow.passed, 0),
    blocked: flows.reduce((sum, flow) => sum + flow.blocked, 0),
  };
}

/** What a host sends to itself is no media of a call, unless both of its parties are that host. */
export function crosses(
  { parties }: Pick<PageCall, 'parties'>,
  { src, srcPort, dst, dstPort }: Pick<PageFlow, 'src' | 'srcPort' | 'dst' | 'dstPort'>,
): boolean {
  return src !== dst || (parties[0] === parties[1] && parties[0] === src && srcPort !== dstPort);
}

function throughPinholes({ pinholes, parties }: JudgedCall, side: 0 | 1): Way {
  const own = pinholes.filter(({ address }) => address === parties[side]);
  const passed = own.reduce((sum, { packets }) => sum + packets, 0);
  return { watched: own.length > 0, flows: [], passed, blocked: 0 };
}

function isDead({ passed, blocked }: Way): boolean {
  return passed === 0 && blocked > 0;
}

function isEmpty({ passed, blocked }: Way): boolean {
  return passed + blocked === 0;
}

function judge(call: JudgedCall, ways: readonly [Way, Way]): [Level, string] {
  const media = mediaName(call, ways);
  const dead = ([0, 1] as const).filter((side) => isDead(ways[side]));
  if (dead.length === 2) {
    return ['blocked', `No ${media}: everything was blocked, in both directions.`];
  }
  if (dead.length === 1) {
    const deaf = dead[0]!;
    const other = ways[deaf === 0 ? 1 : 0];
    const amount = all(ways[deaf].blocked);
    const to = hostsTo(ways[deaf]);
    if (isEmpty(other)) {
      return [
        'blocked',
        `No ${media} for the ${PARTIES[deaf]}: ${amount} to ${to} ${were(ways[deaf].blocked)} blocked.`,
      ];
    }
    const loss =
      media === 'audio'
        ? `the ${PARTIES[deaf]} cannot hear the ${PARTIES[1 - deaf]!}`
        : `none reaches the ${PARTIES[deaf]}`;
    return [
      'blocked',
      `One-way ${media}: ${loss}. ${capital(amount)} to ${to} ${were(ways[deaf].blocked)} blocked.`,
    ];
  }
  const blocked = ways[0].blocked + ways[1].blocked;
  const total = blocked + ways[0].passed + ways[1].passed;
  if (blocked > 0) {
    const both = ways.every(({ passed }) => passed > 0);
    return [both && blocked <= total * HARDLY ? 'passed' : 'partly', partly(ways, blocked, media)];
  }
  if (isEmpty(ways[0]) && isEmpty(ways[1])) return withoutMedia(call, media);
  const silent = ([0, 1] as const).find((side) => ways[side].watched && isEmpty(ways[side]));
  if (silent === undefined) {
    const seen = ([0, 1] as const).filter((side) => ways[side].watched);
    const where = seen.length === 2 ? 'in both directions' : `to the ${PARTIES[seen[0]!]}`;
    return ['passed', `${capital(media)} passed ${where}.`];
  }
  if (call.answeredAt === null)
    return ['passed', `Not answered. ${capital(media)} before the answer passed.`];
  return [
    'silent',
    `${capital(media)} passed to the ${PARTIES[1 - silent]!}; nothing was sent to the ${PARTIES[silent]}.`,
  ];
}

function withoutMedia(call: JudgedCall, media: string): [Level, string] {
  if (call.answeredAt !== null && call.pinholes.length > 0) {
    return ['silent', `Answered, but no ${media} was seen in either direction.`];
  }
  if (call.answeredAt !== null) return ['none', 'Answered; no media was agreed on.'];
  const final = call.messages.findLast(
    ({ summary }) => /^[3-6][0-9][0-9]/.test(summary) && answeredIn(summary) === null,
  );
  if (call.endReason === 'cancelled') return ['none', 'The caller gave up before there was an answer.'];
  if (final !== undefined) return ['none', `Not answered: ${final.summary}.`];
  return ['none', call.endedAt === null ? 'Not answered yet.' : 'Not answered.'];
}

/** Strangers that were kept out are another matter than the call's own packets that were lost. */
function partly(ways: readonly [Way, Way], blocked: number, media: string): string {
  const flows = [...ways[0].flows, ...ways[1].flows];
  const own = new Set(flows.filter(({ passed }) => passed > 0).map(({ src }) => src));
  const strangers = flows.filter((flow) => flow.blocked > 0 && !own.has(flow.src));
  const kept = strangers.reduce((sum, flow) => sum + flow.blocked, 0);
  const names = [...new Set(strangers.map(({ src }) => src))];
  const from = names.length <= 2 ? names.join(' and ') : plural(names.length, 'other host');
  if (kept === blocked) {
    return `${capital(media)} passed; ${plural(blocked, 'packet')} from ${from} ${were(blocked)} kept out.`;
  }
  const total = flows.reduce((sum, flow) => sum + flow.packets, 0);
  return `${capital(media)} passed, but ${countText(blocked)} of ${plural(total, 'packet')} ${were(blocked)} blocked.`;
}

function mediaName({ pinholes }: JudgedCall, ways: readonly [Way, Way]): string {
  const names = new Set(pinholes.map(({ media }) => media));
  if (names.size === 1 && names.has('audio')) return 'audio';
  const kinds = new Set(ways.flatMap(({ flows }) => flows.flatMap(({ kinds: all }) => Object.keys(all))));
  return names.size === 0 && kinds.size === 1 && kinds.has('rtp') ? 'audio' : 'media';
}

function hostsTo({ flows }: Way): string {
  const hosts = [...new Set(flows.filter(({ blocked }) => blocked > 0).map(({ dst }) => dst))];
  return hosts.length <= 2 ? hosts.join(' and ') : plural(hosts.length, 'host');
}

function all(count: number): string {
  return count === 1 ? 'the only packet' : `all ${plural(count, 'packet')}`;
}

function were(count: number): string {
  return count === 1 ? 'was' : 'were';
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

/** Why, from the direction that matters; what was blocked most comes first. */
function causesOf(level: Level, ways: readonly [Way, Way]): ShownCause[] {
  const flows = ways.filter((way) => level !== 'blocked' || isDead(way)).flatMap((way) => way.flows);
  return distinctCauses(flows).slice(0, MAX_CAUSES);
}

/** Reasons for which packets of these flows were blocked, each once, that of the most packets first. */
export function distinctCauses(flows: readonly JudgedFlow[]): ShownCause[] {
  const blocks = flows.flatMap((flow) => flow.blocks).sort((a, b) => b.packets - a.packets);
  const causes = new Map<string, ShownCause>();
  for (const { reason, text, advice } of blocks) {
    const key = `${reason} ${advice}`;
    if (!causes.has(key)) causes.set(key, { reason, text, advice });
  }
  return [...causes.values()];
}
