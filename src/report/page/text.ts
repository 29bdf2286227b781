/** Everything without a glyph of its own, and what turns the direction of the text around it. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;

/** What is shown as it is: nearly all text that there is. */
const PRINTABLE = /^[ -~]*$/;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * Text of the network for people: bytes that are UTF-8 are read as UTF-8, control and format characters (also
 * those that would write from right to left) become `\u{...}`, what is longer than `limit` is cut.
 */
export function readable(text: string, limit = 200): string {
  if (text.length <= limit && PRINTABLE.test(text)) return text;
  const cut = text.length > limit * 4 ? text.slice(0, limit * 4) : text;
  const shown = decoded(cut).replace(INVISIBLE, (one) => `\\u{${one.codePointAt(0)?.toString(16)}}`);
  const characters = [...shown];
  return characters.length > limit ? `${characters.slice(0, limit).join('')}…` : shown;
}

/** `text` as it is when it does not hold the bytes of UTF-8, one in each character. */
function decoded(text: string): string {
  const bytes = new Uint8Array(text.length);
  let isPlain = true;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0xff) return text;
    if (code > 0x7f) isPlain = false;
    bytes[i] = code;
  }
  if (isPlain) return text;
  try {
    return utf8.decode(bytes);
  } catch {
    return text;
  }
}

/**
 * The name of a party by its From or To header (RFC 3261 20.20): the display name, else the user, else the host
 * of its URI.
 */
export function partyName(header: string): string {
  const text = header.trim();
  if (text.startsWith('"')) {
    const name = quoted(text);
    if (name !== '') return readable(name, 60);
  }
  const angle = text.indexOf('<');
  if (angle > 0 && !text.startsWith('"')) return readable(text.slice(0, angle).trim(), 60);
  const uri = angle < 0 ? text : text.slice(text.indexOf('<') + 1);
  const scheme = uri.indexOf(':');
  const rest = scheme < 0 ? uri : uri.slice(scheme + 1);
  const end = rest.search(/[;>?]/);
  const whole = end < 0 ? rest : rest.slice(0, end);
  const at = whole.indexOf('@');
  return readable((at > 0 ? whole.slice(0, at) : whole) || text, 60);
}

function quoted(text: string): string {
  let name = '';
  for (let i = 1; i < text.length && text[i] !== '"'; i++) {
    if (text[i] === '\\') i++;
    name += text[i] ?? '';
  }
  return name.trim();
}

/** `192.0.2.10:49170`, `[2001:db8::1]:49170`. */
export function transport(address: string, port: number | string): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
