import type { RefusalReason } from '../../call/refusal.ts';
import { PARTIES } from '../../call/wanted.ts';
import type { Traffic } from '../../firewall/firewall.ts';
import type { AudioHappening, CallName, Happening, PinholeHappening } from '../../inspector/happening.ts';
import { partyName } from '../../inspector/party.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import { printable } from '../../printable.ts';
import type { Note } from '../messages.ts';
import type { Severity } from './sink.ts';

/** One line for the log. */
export interface LogLine {
  readonly severity: Severity;
  readonly isRefusal: boolean;
  /** Made of what things are at the moment, and only of a line that is written: most are too many or of no interest. */
  readonly words: () => Words;
}

/** A line's text for people, its fields for machines. */
export interface Words {
  readonly text: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface LineOptions {
  readonly callId: 'hashed' | 'plain';
  /** Whether a line says who calls whom. */
  readonly parties: 'hidden' | 'plain';
  /** `mode: observe`: pinholes would be opened, and are not. */
  readonly observes: boolean;
  /** What a pinhole has passed for a call, as of the last count. */
  readonly trafficOf: (pinholeId: string, legId: string) => Traffic | undefined;
}

/** Seen in every call: of interest only to who looks for it. */
const USUAL: ReadonlySet<RefusalReason> = new Set(['not-inside', 'on-hold', 'no-source', 'fewer-streams']);
/** Somebody may be up to something, or a limit is too low. */
const SUSPICIOUS: ReadonlySet<RefusalReason> = new Set([
  'foreign-address',
  'port-taken',
  'relayed-transport',
  'late-fork',
  'legs-limit',
  'denied-port',
  'conflicting-header',
  'stream-unusable',
  'calls-limit',
  'calls-per-host-limit',
  'calls-per-peer-limit',
  'unanswered-limit',
  'offer-rate-limit',
  'answer-rate-limit',
  'firewall-error',
  'hep-unknown-sender',
  'hep-wrong-key',
]);

/** Bounds that are used up: people ask whose calls they hit. */
const CAPS: ReadonlySet<RefusalReason> = new Set([
  'calls-limit',
  'calls-per-host-limit',
  'calls-per-peer-limit',
  'unanswered-limit',
  'offer-rate-limit',
]);

/** What happened, as lines: the pinholes that one call opened or closed together are one line. */
export function logLines(happenings: readonly Happening[], options: LineOptions): LogLine[] {
  const events = happenings.filter(isLogged);
  const lines: LogLine[] = [];
  for (let at = 0; at < events.length; at++) {
    const event = events[at]!;
    if (event.type !== 'pinhole') {
      lines.push({
        severity: severityOf(event),
        isRefusal: event.type === 'refused',
        words: () => simpleWords(event, options),
      });
      continue;
    }
    const group = [event];
    for (let next = events[at + 1]; next?.type === 'pinhole' && belongs(next, event); next = events[at + 1]) {
      group.push(next);
      at++;
    }
    const words =
      event.what === 'opened' ? () => openedWords(group, options) : () => closedWords(group, options);
    lines.push({ severity: 'info', isRefusal: false, words });
  }
  return lines;
}

/** What the data path says of itself. */
export function noteLines(notes: readonly Note[]): LogLine[] {
  return notes.map(({ level, text }) => ({
    severity: level,
    isRefusal: false,
    words: () => ({ text, fields: {} }),
  }));
}

type Logged = Extract<Happening, { type: 'call' | 'pinhole' | 'refused' | 'audio' }>;

function isLogged(happening: Happening): happening is Logged {
  if (happening.type === 'call' || happening.type === 'pinhole') return happening.what !== 'changed';
  return happening.type === 'refused' || happening.type === 'audio';
}

function belongs(next: PinholeHappening, first: PinholeHappening): boolean {
  if (next.what !== first.what || next.call.legId !== first.call.legId) return false;
  return next.what === 'opened' || next.reason === first.reason;
}

function openedWords(group: readonly PinholeHappening[], options: LineOptions): Words {
  const { call } = group[0]!;
  const list = group.map(({ pinhole }) => `${describePinhole(pinhole)} from ${sourcesOf(pinhole)}`);
  return {
    text: `${nameOf(call, options)}: ${verb('opened', options)} ${list.join('; ')}`,
    fields: { event: 'opened', ...fieldsOf(call, options), pinholes: group.map(({ pinhole }) => pinhole) },
  };
}

function closedWords(group: readonly PinholeHappening[], options: LineOptions): Words {
  const { call, reason, at } = group[0]!;
  const seconds = (at - Math.min(...group.map(({ openedAt }) => openedAt))) / 1000;
  const traffic = passedBy(group, options);
  const list = group.map(({ pinhole }) => describePinhole(pinhole));
  const counted =
    traffic === null ? 'not counted' : `${traffic.packets} packets, ${traffic.bytes} bytes counted`;
  return {
    text: `${nameOf(call, options)}: ${verb('closed', options)} ${list.join('; ')}: ${reason}, ${counted}, ${seconds.toFixed(1)} s`,
    fields: {
      event: 'closed',
      ...fieldsOf(call, options),
      reason,
      seconds,
      packets: traffic?.packets ?? null,
      bytes: traffic?.bytes ?? null,
      pinholes: group.map(({ pinhole }) => pinhole),
    },
  };
}

function verb(done: 'opened' | 'closed', { observes }: LineOptions): string {
  if (!observes) return done;
  return done === 'opened' ? 'would open' : 'would close';
}

/** Null when not one of them was ever counted. */
function passedBy(group: readonly PinholeHappening[], { trafficOf }: LineOptions): Traffic | null {
  const counts = group.flatMap(({ pinhole, call }) => trafficOf(pinhole.id, call.legId) ?? []);
  if (counts.length === 0) return null;
  return {
    packets: counts.reduce((sum, { packets }) => sum + packets, 0),
    bytes: counts.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

function audioWords(event: AudioHappening, options: LineOptions): Words {
  const { call, missing, since, at, causes } = event;
  const seconds = Math.max(0, at - since) / 1000;
  const fields = { ...fieldsOf(call, options), seconds };
  if (missing.length === 0) {
    return {
      text: `${nameOf(call, options)}: audio is missed no more, after ${seconds.toFixed(0)} s`,
      fields: { event: 'audio', ...fields },
    };
  }
  const who = missing.map((side) => `the ${PARTIES[side]} (${call.parties[side]})`).join(' and ');
  const why = causes.map(({ text, advice }) => `${text} ${advice}`.trim()).join(' ');
  return {
    text: `${nameOf(call, options)}: no audio for ${who} since ${seconds.toFixed(0)} s. ${why}`,
    fields: { event: 'no-audio', ...fields, missing: missing.map((side) => PARTIES[side]), causes },
  };
}

function severityOf(event: Exclude<Logged, PinholeHappening>): Severity {
  if (event.type === 'call') return 'debug';
  if (event.type === 'audio') return event.missing.length === 0 ? 'info' : 'warn';
  const { reason } = event.refusal;
  if (USUAL.has(reason)) return 'debug';
  return SUSPICIOUS.has(reason) ? 'warn' : 'info';
}

function simpleWords(event: Exclude<Logged, PinholeHappening>, options: LineOptions): Words {
  if (event.type === 'audio') return audioWords(event, options);
  if (event.type === 'refused') {
    const { call, refusal } = event;
    const { reason, detail } = refusal;
    const whose = call !== null && CAPS.has(reason) ? partiesOf(call) : null;
    return {
      text: `${call === null ? '' : `${nameOf(call, options)}: `}refused (${reason}): ${detail}${whose === null ? '' : `; ${whose.text}`}`,
      fields: {
        event: 'refused',
        ...(call !== null && fieldsOf(call, options)),
        reason,
        detail,
        ...whose?.fields,
      },
    };
  }
  const { what, leg: call } = event;
  const { endReason: reason } = call;
  return {
    text: `${nameOf(call, options)}: ${what} ${call.parties.join(' to ')}${reason === null ? '' : `, ${reason}`}`,
    fields: { event: `call-${what}`, ...fieldsOf(call, options), reason },
  };
}

/** `sip:alice@example.com (192.0.2.10) calls sip:bob@example.com (198.51.100.20)`. */
function partiesOf({ from, to, parties: [caller, callee] }: CallName) {
  const text = `${printable(from, 128)} (${caller}) calls ${printable(to, 128)} (${callee})`;
  return { text, fields: { from, to, caller, callee } };
}

type Naming = Pick<LineOptions, 'callId' | 'parties'>;

/** `call 00000000000000aa`, `call 00000000000000aa (abc@pbx.example, alice > bob)`: as much as may be said. */
export function nameOf({ legId, callId, from, to }: CallName, options: Naming): string {
  const known = [
    ...(options.callId === 'plain' ? [printable(callId, 128)] : []),
    ...(options.parties === 'plain' ? [`${whoOf(from)} > ${whoOf(to)}`] : []),
  ];
  return known.length === 0 ? `call ${legId}` : `call ${legId} (${known.join(', ')})`;
}

function whoOf(header: string): string {
  return printable(partyName(header), 64);
}

function fieldsOf(call: CallName, options: Naming): Record<string, unknown> {
  const { legId, callId } = call;
  return {
    legId,
    ...(options.callId === 'plain' && { callId }),
    ...(options.parties === 'plain' && partiesOf(call).fields),
  };
}

/** `audio udp 192.0.2.10:49170-49171`, `[2001:db8::1]:49170` for IPv6. */
export function describePinhole({ media, protocol, address, ports: [first, last] }: Pinhole): string {
  const host = address.includes(':') ? `[${address}]` : address;
  return `${printable(media, 16)} ${protocol} ${host}:${first === last ? first : `${first}-${last}`}`;
}

function sourcesOf({ sources, sourcePort }: Pinhole): string {
  const from = sources === 'any' ? 'any' : sources.join(', ');
  return sourcePort === null ? from : `${from} port ${sourcePort}`;
}
