import type { Buffer } from 'node:buffer';
import { bodyStart, fieldOf, isBlank, linesOf } from './lines.ts';

/** What the Contacts of a REGISTER, or of its 2xx, say. */
interface Bindings {
  readonly contacts: number;
  /** The longest `expires` parameter in seconds, at most 2**32 (RFC 3261 20.19); null where none has one. */
  readonly seconds: number | null;
}

/** Bytes of the head that are looked at. */
const MOST = 16_384;
const MOST_COUNTED = 2 ** 32;
const PARAMETER = 'expires';

/** The Contacts of a message and for how long they bind (RFC 3261 10.2, 10.3). Linear in the bytes. */
export function bindingsIn(message: Buffer): Bindings {
  const text = message.toString('latin1', 0, Math.min(message.length, MOST));
  let contacts = 0;
  let seconds: number | null = null;
  for (const line of linesOf(text.slice(0, bodyStart(text)))) {
    const field = fieldOf(line);
    if (field === null || (field.name !== 'contact' && field.name !== 'm')) continue;
    contacts++;
    for (const one of expiresIn(field.value.toLowerCase())) seconds = Math.max(seconds ?? 0, one);
  }
  return { contacts, seconds };
}

/** Every `;expires=N` that stands there. */
function* expiresIn(value: string): Iterable<number> {
  for (let at = value.indexOf(PARAMETER); at >= 0; at = value.indexOf(PARAMETER, at + PARAMETER.length)) {
    let before = at - 1;
    while (before >= 0 && isBlank(value[before]!)) before--;
    if (value[before] !== ';') continue;
    const seconds = numberBehind(value, at + PARAMETER.length);
    if (seconds !== null) yield seconds;
  }
}

/** The digits behind an equals sign; null where there are none. */
function numberBehind(value: string, start: number): number | null {
  let at = afterBlanks(value, start);
  if (value[at] !== '=') return null;
  at = afterBlanks(value, at + 1);
  if (value[at] === '"') at++;
  const first = at;
  let number = 0;
  for (; isDigit(value.charCodeAt(at)); at++)
    number = Math.min(number * 10 + Number(value[at]), MOST_COUNTED);
  return at === first ? null : number;
}

function afterBlanks(value: string, start: number): number {
  let at = start;
  while (at < value.length && isBlank(value[at]!)) at++;
  return at;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}
