import { countText } from '../../counted.ts';

/** A span of seconds in at most six columns: `0.4s`, `42s`, `3m12s`, `1h02m`, `2d03h`. */
export function ageText(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)}s`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole}s`;
  const two = (value: number) => String(value).padStart(2, '0');
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  const minutes = Math.floor(whole / 60);
  if (whole < 86_400) return `${Math.floor(minutes / 60)}h${two(minutes % 60)}m`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`;
}

/** A short span in seconds: `16 µs`, `1.02 ms`, `2.10 s`. */
export function shortSpanText(seconds: number): string {
  if (seconds < 0.001) return `${figures(seconds * 1e6)} µs`;
  return seconds < 1 ? `${figures(seconds * 1000)} ms` : `${figures(seconds)} s`;
}

/** Three significant digits. */
function figures(value: number): string {
  return value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toPrecision(3);
}

/** Powers of ten, greatest first, as people name them (short scale). */
const LARGE: readonly (readonly [power: number, name: string])[] = [
  [1e18, 'quintillion'],
  [1e15, 'quadrillion'],
  [1e12, 'trillion'],
];

/** `42.9 trillion`: three significant digits where the figure is too long for anyone to read, else with commas. */
export function largeText(count: number): string {
  const [power, name] = LARGE.find(([one]) => count >= one) ?? [1, ''];
  return name === '' ? countText(Math.round(count)) : `${figures(count / power)} ${name}`;
}

/** `512 B`, `1.5 KiB`, `20 MiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}
