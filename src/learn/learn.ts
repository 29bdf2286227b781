import { type Address, addressBytes, type Family, familyOf } from '../address/address.ts';
import { networkOf } from '../address/network.ts';
import type { Line } from '../config/annotated.ts';
import { defaults } from '../config/schema.ts';
import { plural } from '../counted.ts';
import { printable } from '../printable.ts';
import { dateText } from '../report/time.ts';
import { rangesOf, signallingPorts, without } from './ports.ts';
import { callsIn, type SeenCall, type SeenStream } from './seen.ts';

/** One call's need, for the reasons. */
interface Need {
  readonly call: SeenCall;
  readonly stream: SeenStream;
}

const USUAL_PORT = 5060;

/**
 * The lines of the smallest configuration under which these calls have what they needed: each has a reason in a call, and
 * without it, or with less than it says, that call would not have had its media. None where no call needed anything.
 */
export function linesFor(calls: readonly SeenCall[]): Line[] {
  const needs = calls.flatMap((call) => call.needed.map((stream) => ({ call, stream })));
  if (needs.length === 0) return [];
  const owners = new Set(needs.map(({ stream }) => stream.owner));
  const outside = needs.filter(({ stream }) => !owners.has(stream.peer));
  const sip = signallingPorts(
    calls.filter(({ needed }) => needed.length > 0).flatMap(endsOf),
    USUAL_PORT,
  ).sort((a, b) => a - b);
  return [
    ...grouped(needs, ({ stream }) => stream.owner).map(([owner, its]) => insideLine(owner, its)),
    ...natLines(needs),
    ...grouped(
      needs.filter(({ stream: { announced, host, owner } }) => host !== owner && announced === host),
      ({ stream }) => stream.host,
    ).map(([host, its]) => mediaHostLine(host, its)),
    ...grouped(outside, ({ stream }) => stream.peer).map(([peer, its]) => peerLine(peer, its)),
    ...portLines(needs, sip),
    ...sipLines(calls, sip),
    ...tcpLine(needs),
  ];
}

function insideLine(owner: Address, needs: readonly Need[]): Line {
  const said = needs.every(({ stream }) => stream.host === stream.owner && stream.announced === stream.owner)
    ? `${owner} awaited media at its own address in ${count(needs)}`
    : `${owner} said where media was awaited in ${count(needs)}`;
  const more = widened(
    owner,
    needs.map(({ stream }) => stream.owner),
  );
  return { key: 'inside', value: owner, why: `${said}, ${first(needs)}.${more}` };
}

function natLines(needs: readonly Need[]): Line[] {
  const behind = needs.filter(({ stream }) => stream.announced !== stream.host);
  return [...groupsOf(behind, ({ stream }) => stream.announced)].map(([external, its]) => {
    const hosts = grouped(its, ({ stream }) => stream.host).map(([host]) => host);
    const who =
      hosts.length === 1
        ? `${hosts[0]} announces it as its own`
        : 'Each of these hosts announces it as its own';
    return {
      key: 'nat',
      value: { external, hosts },
      why:
        `${who}, in ${count(its)}, ${first(its)}. Pinholes bring their translation; add "translation: ruleset" ` +
        'where a rule of yours forwards these ports already.',
    };
  });
}

function mediaHostLine(host: Address, needs: readonly Need[]): Line {
  const by = [...new Set(needs.map(({ stream }) => stream.owner))].sort();
  const packets = needs.reduce((sum, { stream }) => sum + stream.packets, 0);
  const came = packets === 0 ? '' : `; ${plural(packets, 'packet')} came there`;
  return {
    key: 'media-hosts',
    value: host,
    why: `Named by ${some(by)} in place of itself in ${count(needs)}, ${first(needs)}${came}.${widened(
      host,
      needs.map(({ stream }) => stream.host),
    )}`,
  };
}

function peerLine(peer: Address, needs: readonly Need[]): Line {
  const owners = [...new Set(needs.map(({ stream }) => stream.owner))].sort();
  return {
    key: 'peers',
    value: peer,
    why: `The other party of ${count(needs)} with ${some(owners)}, ${first(needs)}.${widened(
      peer,
      needs.map(({ stream }) => stream.peer),
    )}`,
  };
}

function portLines(needs: readonly Need[], sip: readonly number[]): Line[] {
  const ports = needs.flatMap(
    ({
      stream: {
        ports: [from, to],
      },
    }) => [from, to],
  );
  const denied = defaults().deniedPorts;
  const taken = sip.filter((port) => !denied.some(([from, to]) => from <= port && port <= to));
  return rangesOf(ports).flatMap(({ range, used }) =>
    without(range, taken).map(([from, to]) => {
      const within = needs.filter(({ stream }) => stream.ports[0] <= to && from <= stream.ports[1]);
      const hosts = [...new Set(within.map(({ stream }) => stream.host))].sort();
      const all = to - from + 1;
      const part = used >= all ? 'all of them' : `${used} of its ${all} ports`;
      return {
        key: 'media-ports',
        value: from === to ? from : `${from}-${to}`,
        why: `Where ${some(hosts)} awaited media in ${count(within)}: ${part}; the first and the last were used.`,
      };
    }),
  );
}

function sipLines(calls: readonly SeenCall[], ports: readonly number[]): Line[] {
  if (ports.length === 1 && ports[0] === USUAL_PORT) return [];
  return ports.map((port) => {
    const on = calls.filter((call) => endsOf(call).some((pair) => pair.includes(port)));
    return {
      key: 'sip-ports',
      value: port,
      why: `Signalling of ${plural(callsIn(on), 'call')} is from or to it.`,
    };
  });
}

function tcpLine(needs: readonly Need[]): Line[] {
  const over = needs.filter(({ stream }) => stream.protocol === 'tcp');
  if (over.length === 0) return [];
  return [{ key: 'tcp-media', value: true, why: `Media over TCP in ${count(over)}, ${first(over)}.` }];
}

function endsOf({ report: { ports, messages } }: SeenCall): (readonly [number, number])[] {
  const pairs = messages.map(({ sourcePort, destinationPort }) => [sourcePort, destinationPort] as const);
  return ports === null ? pairs : [ports, ...pairs];
}

/** Items that a list may have (`listOf`). */
const MOST_ITEMS = 256;
/** Bits of the networks that addresses are put together in where there are too many of them. */
const PREFIXES: Readonly<Record<Family, readonly number[]>> = {
  4: [28, 24, 20, 16, 12, 8],
  6: [64, 56, 48, 40, 32, 16],
};

/**
 * Needs by address, or where a list cannot hold so many, by the narrowest networks of one width that are few enough. In the
 * order of their numbers.
 */
function grouped(needs: readonly Need[], keyOf: (need: Need) => Address): [Address, Need[]][] {
  const byAddress = groupsOf(needs, keyOf);
  let groups = byAddress;
  for (let step = 0; groups.size > MOST_ITEMS && step < PREFIXES[4].length; step++) {
    groups = groupsOf(needs, (need) => {
      const address = keyOf(need);
      return networkOf(addressBytes(address), PREFIXES[familyOf(address)][step]!).text;
    });
  }
  return [...groups].sort(([a], [b]) => (sortable(a) < sortable(b) ? -1 : 1));
}

function groupsOf(needs: readonly Need[], keyOf: (need: Need) => string): Map<string, Need[]> {
  const groups = new Map<string, Need[]>();
  for (const need of needs) {
    const key = keyOf(need);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [need]);
    else group.push(need);
  }
  return groups;
}

/** Said of a network that stands for its addresses. */
function widened(key: string, addresses: readonly Address[]): string {
  if (!key.includes('/')) return '';
  const number = new Set(addresses).size;
  return ` ${plural(number, 'address', 'addresses')} of it: single ones would be more than the ${MOST_ITEMS} that a list may have.`;
}

/** Addresses in the order of their numbers. */
function sortable(key: string): string {
  const address = key.split('/', 1)[0]!;
  return `${familyOf(address)} ${Buffer.from(addressBytes(address)).toString('hex')}`;
}

function count(needs: readonly Need[]): string {
  return plural(callsIn(needs.map(({ call }) => call)), 'call');
}

/** `first in a84b4c76e66710@pc33 (2026-07-01 12:00:00)`. */
function first(needs: readonly Need[]): string {
  const { report } = needs
    .map(({ call }) => call)
    .reduce((a, b) => (b.report.startedAt < a.report.startedAt ? b : a));
  return `first in ${printable(report.callId, 48)} (${dateText(report.startedAt).slice(0, 19)})`;
}

function some(items: readonly string[]): string {
  const shown = items.slice(0, 3).join(', ');
  return items.length > 3 ? `${shown} and ${items.length - 3} more` : shown;
}
