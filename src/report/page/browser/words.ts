import type { Level, PageFlow, PagePlace } from '../model.ts';

/** `+1.234 s`, `+12:05.1`: time after the beginning of the call. */
export function offset(seconds: number): string {
  if (Math.abs(seconds) < 60) return `${seconds < 0 ? '−' : '+'}${Math.abs(seconds).toFixed(3)} s`;
  const whole = Math.floor(seconds / 60);
  const rest = (seconds - whole * 60).toFixed(1).padStart(4, '0');
  if (whole < 60) return `+${whole}:${rest}`;
  return `+${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}:${rest}`;
}

/** `0.42 s`, `42 s`, `12 min 5 s`, `3 h 2 min`, `2 d 3 h`. */
export function span(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** `2026-07-01 12:00:00` in UTC. */
export function date(seconds: number): string {
  return iso(seconds).slice(0, 19).replace('T', ' ');
}

/** `12:00:00` in UTC. */
export function clock(seconds: number): string {
  return iso(seconds).slice(11, 19);
}

function iso(seconds: number): string {
  const moment = new Date(seconds * 1000);
  return Number.isNaN(moment.getTime()) ? '????-??-??T??:??:??' : moment.toISOString();
}

/** `frame 12`; '' for a live call. */
export function frame({ frame: count, file }: PagePlace): string {
  if (count === 0) return '';
  return file === undefined ? `frame ${count}` : `frame ${count} of file ${file + 1}`;
}

const KINDS: Readonly<Record<string, string>> = {
  rtp: 'RTP',
  rtcp: 'RTCP',
  stun: 'STUN',
  dtls: 'DTLS',
  t38: 'T.38',
  turn: 'TURN',
  other: 'UDP',
};

/** `RTP, RTCP`: what the packets of a flow are, most of them first. */
export function kindsOf({ kinds }: PageFlow): string {
  const names = Object.entries(kinds).sort(([, a], [, b]) => b - a);
  return names.map(([name]) => KINDS[name] ?? name.toUpperCase()).join(', ');
}

/** Why packets were blocked or are missed, in few words. */
export const BLOCKED: Readonly<Record<string, string>> = {
  'same-host': 'a host to itself',
  'wrong-source': 'from a host that may not send here',
  'early-media': 'before the call was answered',
  closed: 'after the pinhole was closed',
  refused: 'the announcement was refused',
  'not-opened': 'announced, but never agreed on',
  'announced-later': 'before it was announced',
  nat: 'a private address was announced',
  'other-port': 'a port that nobody announced',
  'other-address': 'an address that nobody announced',
  'never-announced': 'never announced',
  'nothing-came': 'the pinhole is open, and nothing comes',
  'nothing-sent': 'nothing is sent back',
};

export const LEVELS: Readonly<Record<Level, { readonly name: string; readonly filter: string }>> = {
  blocked: { name: 'Media blocked', filter: 'One way or none' },
  partly: { name: 'Some packets blocked', filter: 'Some blocked' },
  silent: { name: 'Nothing was sent', filter: 'Nothing sent' },
  passed: { name: 'Media passed', filter: 'Passed' },
  none: { name: 'No media', filter: 'No media' },
};
