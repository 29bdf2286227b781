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

/** `4.29e+9` where the figure is too long for anyone to read, else with commas. */
export function largeText(count: number): string {
  return count >= 1e12 ? count.toExponential(2) : countText(Math.round(count));
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
