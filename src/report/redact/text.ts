import { parseAddress } from '../../address/address.ts';
import { settingNames } from '../../config/schema.ts';
import { isDigits, type Tokens } from './tokens.ts';

/** What words end at; none of them is part of an address, a host name or a user. */
const ENDS = ' \t\r\n,;"<>()=?&\'';
/** `timers.no-audio` is no host. */
const SETTINGS = new Set(settingNames());

/** Words for people without addresses, names of hosts, users and what was met before; texts in quotes are gone, too. */
export function redactText(text: string, tokens: Tokens): string {
  let result = '';
  let at = 0;
  while (at < text.length) {
    const character = text[at]!;
    if (character === '"') {
      const end = text.indexOf('"', at + 1);
      const quoted = text.slice(at + 1, end < 0 ? undefined : end);
      result += `"${tokens.known(quoted) ?? tokens.word('text', quoted)}"`;
      at = end < 0 ? text.length : end + 1;
      continue;
    }
    if (ENDS.includes(character)) {
      result += character;
      at++;
      continue;
    }
    let end = at;
    while (end < text.length && !ENDS.includes(text[end]!)) end++;
    result += redactWord(text.slice(at, end), tokens);
    at = end;
  }
  return result;
}

/** A word, with the punctuation around it. */
function redactWord(word: string, tokens: Tokens): string {
  let end = word.length;
  while (end > 0 && '.:'.includes(word[end - 1]!)) end--;
  const [bare, rest] = [word.slice(0, end), word.slice(end)];
  return `${redactBare(bare, tokens)}${rest}`;
}

function redactBare(word: string, tokens: Tokens): string {
  if (word === '' || isDigits(word)) return word;
  const known = tokens.known(word);
  if (known !== null) return known;
  const address = parseAddress(word);
  if (address !== null) return tokens.address(address);
  const bracket = word.startsWith('[') ? word.indexOf(']') : -1;
  const inside = bracket > 0 ? parseAddress(word.slice(1, bracket)) : null;
  if (inside !== null) return `[${tokens.address(inside)}]${word.slice(bracket + 1)}`;
  const scheme = /^(sips?|tel|udp|tcp):/i.exec(word)?.[0] ?? '';
  if (scheme !== '') return scheme + redactBare(word.slice(scheme.length), tokens);
  const at = word.lastIndexOf('@');
  if (at > 0) return `${tokens.user(word.slice(0, at))}@${redactBare(word.slice(at + 1), tokens)}`;
  for (const mark of [':', '/']) {
    const cut = word.indexOf(mark);
    const parsed = cut > 0 ? parseAddress(word.slice(0, cut)) : null;
    if (parsed !== null) return tokens.address(parsed) + word.slice(cut);
    if (mark === ':' && cut > 0 && isHostName(word.slice(0, cut)))
      return tokens.host(word.slice(0, cut)) + word.slice(cut);
  }
  return isHostName(word) ? tokens.host(word) : word;
}

/** Labels with dots between them, the last with a letter, and no setting of ours. */
function isHostName(word: string): boolean {
  const labels = word.split('.');
  if (labels.length < 2 || word.length > 255 || SETTINGS.has(word)) return false;
  return labels.every((label) => /^[a-z0-9_-]{1,63}$/i.test(label)) && /[a-z]/i.test(labels.at(-1)!);
}
