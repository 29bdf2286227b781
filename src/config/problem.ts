/** One thing that is wrong with a configuration file. */
export interface Problem {
  readonly file: string;
  /** Both from 1; null when the file as a whole is meant. */
  readonly at: { readonly line: number; readonly column: number } | null;
  /** `timers.ringing`, `inside[2]`; '' when no key is meant. */
  readonly key: string;
  /** What was expected and what was found. */
  readonly message: string;
}

/** `pinholed.yaml:12:9: timers.ringing: expected a duration between 30s and 600s, found "5"`. */
export function formatProblem({ file, at, key, message }: Problem): string {
  const place = at === null ? file : `${file}:${at.line}:${at.column}`;
  return key === '' ? `${place}: ${message}` : `${place}: ${key}: ${message}`;
}

const LONGEST_QUOTE = 60;
const UNPRINTABLE = /[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Text from a file in double quotes, for a terminal: at most 60 characters, nothing unprintable, and no password of a URL. */
export function quote(text: string): string {
  const masked = withoutPassword(text);
  const short = masked.length > LONGEST_QUOTE ? `${masked.slice(0, LONGEST_QUOTE)}...` : masked;
  return visible(JSON.stringify(short));
}

const MASK = '***';
const SCHEME_END = '://';

/**
 * Text with the password of a URL in it as `***` (RFC 3986 section 3.2.1: what follows the first colon of the user
 * information), and what follows `?` or `#`, where some write one. It need not be a URL: a password may hold any character
 * that it must not, so that the last `@` is taken for its end; the scheme may be missing, or the host.
 */
export function withoutPassword(text: string): string {
  const scheme = text.indexOf(SCHEME_END);
  const start = scheme < 0 ? 0 : scheme + SCHEME_END.length;
  const colon = text.indexOf(':', start);
  const at = text.lastIndexOf('@');
  if (colon >= 0 && colon < at && !(scheme < 0 && /^sips?:/i.test(text))) {
    return `${text.slice(0, colon + 1)}${MASK}${withoutQuery(text.slice(at))}`;
  }
  if (scheme < 0) return text;
  const isPort = colon < 0 || text[start] === '[' || /^[0-9]{0,5}(?![^/?#])/.test(text.slice(colon + 1));
  return at < start && !isPort ? `${text.slice(0, colon + 1)}${MASK}` : withoutQuery(text);
}

function withoutQuery(text: string): string {
  const end = text.search(/[?#]/);
  return end < 0 ? text : `${text.slice(0, end + 1)}${MASK}`;
}

/** Text with what cannot be seen, or steers a terminal, as \uNNNN. */
export function visible(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * The candidate that was probably meant by `text`, or null. Two spellings are near when they are the same but for
 * case, `_` and `-`, or differ in at most a third of the letters, two swapped neighbours counting as one.
 */
export function nearest(text: string, candidates: Iterable<string>): string | null {
  if (text.length > LONGEST_QUOTE) return null;
  let best: { candidate: string; distance: number } | null = null;
  for (const candidate of candidates) {
    const distance = editDistance(plainLetters(text), plainLetters(candidate));
    if (distance * 3 <= candidate.length && distance < (best?.distance ?? Infinity)) {
      best = { candidate, distance };
    }
  }
  return best?.candidate ?? null;
}

function plainLetters(text: string): string {
  return text.toLowerCase().replaceAll('-', '').replaceAll('_', '');
}

/** Optimal string alignment: insertions, deletions, substitutions, swapped neighbours. */
function editDistance(one: string, other: string): number {
  const rows = [Array.from({ length: other.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= one.length; row++) {
    const above = rows[row - 1]!;
    const current = [row];
    for (let column = 1; column <= other.length; column++) {
      const same = one[row - 1] === other[column - 1];
      const best = Math.min(
        above[column - 1]! + (same ? 0 : 1),
        above[column]! + 1,
        current[column - 1]! + 1,
      );
      const swapped =
        row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      current.push(swapped ? Math.min(best, rows[row - 2]![column - 2]! + 1) : best);
    }
    rows.push(current);
  }
  return rows[one.length]![other.length]!;
}
