/** A point in time: ms since the epoch, or ms after the first frame. */
export type Moment = { readonly since: 'epoch' | 'start'; readonly ms: number };

const ISO =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})([T ]([0-9]{2}):([0-9]{2})(:([0-9]{2})(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?$/;

/**
 * `2026-07-01T12:00:00.5+02:00` (ISO 8601; UTC where no zone is given), `1782900000.5` (seconds since the
 * epoch) or `+90` (seconds after the first frame) to a moment; null when it is none of them.
 */
export function parseMoment(text: string): Moment | null {
  if (/^\+[0-9]{1,12}(\.[0-9]{1,9})?$/.test(text)) return { since: 'start', ms: Number(text) * 1000 };
  if (/^[0-9]{5,12}(\.[0-9]{1,9})?$/.test(text)) return { since: 'epoch', ms: Number(text) * 1000 };
  const match = ISO.exec(text);
  if (match === null) return null;
  const [, year, month, day, time, hour = '00', minute = '00', , second = '00', fraction = '', zone] = match;
  const days = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (days.getUTCMonth() !== Number(month) - 1 || days.getUTCDate() !== Number(day)) return null;
  if (time !== undefined && (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59)) return null;
  const sinceMidnight = (Number(hour) * 60 + Number(minute)) * 60_000 + Number(second) * 1000;
  const ms = days.getTime() + sinceMidnight + Number(`0${fraction}`) * 1000 - zoneOffset(zone);
  return { since: 'epoch', ms };
}

function zoneOffset(zone: string | undefined): number {
  if (zone === undefined || zone === 'Z') return 0;
  const digits = zone.replace(':', '');
  const minutes = Number(digits.slice(1, 3)) * 60 + Number(digits.slice(3, 5));
  return (digits[0] === '-' ? -minutes : minutes) * 60_000;
}

/** `2026-07-01 12:00:00.500` in UTC. */
export function dateText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '?' : date.toISOString().slice(0, 23).replace('T', ' ');
}

/** `0.420 s`, `42.0 s`, `12 min 5 s`, `3 h 2 min`. */
export function spanText(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(3)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}
