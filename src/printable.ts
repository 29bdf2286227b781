/** What JSON leaves as it is and a terminal or a reader does not: DEL, C1 controls, what ends or turns a line. */
const UNSHOWN = /[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** JSON that means the same and is safe to show: control characters in its strings become \uNNNN. */
export function printableJson(json: string): string {
  return json.replace(UNSHOWN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * Text from the network made safe for one line of a log: control characters and everything outside ASCII
 * become \xNN, and what is longer than `limit` characters is cut.
 */
export function printable(text: string, limit = 80): string {
  if (text.length <= limit && isPlain(text)) return text;
  let result = '';
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const shown = isPlainCode(code) ? text[i]! : `\\x${code.toString(16).padStart(2, '0')}`;
    if (result.length + shown.length > limit) return `${result}...`;
    result += shown;
  }
  return result;
}

function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i++) if (!isPlainCode(text.charCodeAt(i))) return false;
  return true;
}

function isPlainCode(code: number): boolean {
  return code >= 0x20 && code < 0x7f && code !== 0x5c;
}
