import { portsText, transportText } from '../../call/description.ts';
import { partyName } from '../../inspector/party.ts';
import { printable } from '../../printable.ts';
import { dateText } from '../time.ts';

type Event = Readonly<Record<string, unknown>>;

/** One event of `watch` in a line. What this version does not know is shown as it came. */
export function watchLine(event: Event): string {
  const { type, at } = event;
  const time = typeof at === 'number' ? `${dateText(at * 1000)} ` : '';
  if (type === 'call') return `${time}${callOf(event)} ${event['what']}${because(event)}`;
  if (type === 'pinhole')
    return `${time}${callOf(event)} ${event['what']} ${pinholeOf(event)}${because(event)}`;
  if (type === 'refused') {
    return `${time}${callOf(event)} refused (${event['reason']}): ${printable(String(event['detail']), 512)}`;
  }
  if (type === 'audio') return `${time}${callOf(event)} ${audioOf(event)}`;
  return `${time}${printable(String(event['text'] ?? JSON.stringify(event)), 1024)}`;
}

function callOf({ call }: Event): string {
  if (typeof call !== 'object' || call === null) return '-';
  const { legId, callId, parties, from, to } = call as Partial<
    Record<'legId' | 'callId' | 'from' | 'to', string>
  > & {
    readonly parties?: readonly string[];
  };
  const ends = parties?.join(' > ');
  const isNamed = from !== undefined && to !== undefined;
  const who = isNamed ? `${nameOf(from)} > ${nameOf(to)} (${ends})` : ends;
  return `${legId} ${who} ${printable(callId ?? '', 64)}`;
}

function nameOf(header: string): string {
  return printable(partyName(header), 24);
}

function audioOf({ missing, causes }: Event): string {
  const who = missing as readonly string[];
  if (who.length === 0) return 'audio is missed no more';
  const why = (causes as readonly { readonly text: string }[]).map(({ text }) => text).join(' ');
  return `no audio for the ${who.join(' and the ')}. ${printable(why, 1024)}`;
}

function pinholeOf({ pinhole }: Event): string {
  const { protocol, address, ports, sources, media } = pinhole as {
    protocol: string;
    address: string;
    ports: readonly [number, number];
    sources: 'any' | readonly string[];
    media: string;
  };
  const from = sources === 'any' ? 'any' : sources.join(', ');
  return `${printable(media, 16)} ${protocol} ${transportText(address, portsText(ports))} from ${from}`;
}

function because({ reason }: Event): string {
  return reason === null || reason === undefined ? '' : `: ${String(reason)}`;
}
