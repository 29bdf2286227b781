import type { Buffer } from 'node:buffer';
import { fieldOf, lineEnd, linesOf } from '../../sip/lines.ts';
import { gone, isReadable, rewritten } from '../../sip/secrets.ts';
import { redactDescription } from './description.ts';
import { redactText } from './text.ts';
import { isDigits, type Tokens } from './tokens.ts';

/** Header fields with names and addresses (RFC 3261 20, 3325, 3515, 3892, 5806, 7044), by all that they are called. */
const PARTIES = new Set(
  (
    'from f to t contact m route record-route path service-route reply-to refer-to r referred-by b diversion history-info ' +
    'p-asserted-identity p-preferred-identity p-called-party-id p-associated-uri remote-party-id'
  ).split(' '),
);
/** Those that say nothing of anybody. */
const PLAIN = new Set(
  (
    'cseq max-forwards content-type c content-disposition content-encoding e mime-version allow allow-events u supported k ' +
    'require proxy-require unsupported accept accept-encoding accept-language expires min-expires session-expires x min-se ' +
    'rseq rack event o subscription-state privacy date timestamp retry-after priority p-early-media ' +
    'authorization proxy-authorization authentication-info proxy-authentication-info'
  ).split(' '),
);
const VIA = new Set(['via', 'v']);
const CALL_IDS = new Set([
  'call-id',
  'i',
  'replaces',
  'join',
  'in-reply-to',
  'target-dialog',
  'same-session',
]);
/** Parameters whose value says nothing of anybody, and those that name a dialog. */
const PLAIN_PARAMETERS = new Set(
  'lr transport user method q expires ttl ob rport maddr received privacy screen party reason counter refresher alias'.split(
    ' ',
  ),
);
const TAGS = new Set(['tag', 'from-tag', 'to-tag', 'remote-tag', 'local-tag']);
const BRANCH_COOKIE = 'z9hG4bK';

/** RFC 3261 21 and others: what everybody says. */
const PHRASES = new Set(
  (
    'Trying|Ringing|Call Is Being Forwarded|Queued|Session Progress|OK|Accepted|Multiple Choices|Moved Permanently|' +
    'Moved Temporarily|Use Proxy|Bad Request|Unauthorized|Payment Required|Forbidden|Not Found|Method Not Allowed|' +
    'Not Acceptable|Proxy Authentication Required|Request Timeout|Gone|Request Entity Too Large|Request-URI Too Long|' +
    'Unsupported Media Type|Bad Extension|Extension Required|Session Interval Too Small|Interval Too Brief|' +
    'Temporarily Unavailable|Call/Transaction Does Not Exist|Call Leg/Transaction Does Not Exist|Loop Detected|' +
    'Too Many Hops|Address Incomplete|Ambiguous|Busy Here|Request Terminated|Not Acceptable Here|Request Pending|' +
    'Undecipherable|Server Internal Error|Internal Server Error|Not Implemented|Bad Gateway|Service Unavailable|' +
    'Server Time-out|Version Not Supported|Message Too Large|Busy Everywhere|Decline|Does Not Exist Anywhere'
  )
    .toLowerCase()
    .split('|'),
);

/**
 * A message whose names, numbers, addresses and keys nobody can read, with its structure and the right Content-Length. What
 * is not known to be harmless gets a token. `message` has no secrets in it already.
 */
export function redactMessage(message: Buffer, tokens: Tokens): Buffer {
  return rewritten(
    message,
    (line, isFirst) => (isFirst ? redactStart(line, tokens) : redactHeader(line, tokens)),
    (type, body) => redactBody(type, body, tokens),
  );
}

function redactBody(type: string, body: string, tokens: Tokens): string {
  if (body.startsWith('removed: ')) return body;
  if (!isReadable(type, body)) return gone(body);
  if (type !== 'message/sipfrag') return redactDescription(body, tokens);
  const [first = '', ...rest] = linesOf(body);
  return redactStart(first, tokens) + rest.map((line) => redactHeader(line, tokens)).join('');
}

function redactStart(line: string, tokens: Tokens): string {
  const end = lineEnd(line);
  const words = line.slice(0, line.length - end.length).split(' ');
  if (words[0]?.toUpperCase() === 'SIP/2.0') {
    return `${words[0]} ${words[1] ?? ''} ${redactPhrase(words.slice(2).join(' '))}${end}`;
  }
  const [method = '', uri = '', ...version] = words;
  return `${method} ${redactUri(uri, tokens)} ${version.join(' ')}${end}`;
}

/** A phrase that everybody says, or none. */
export function redactPhrase(phrase: string): string {
  return PHRASES.has(phrase.toLowerCase()) ? phrase : 'Reason';
}

function redactHeader(line: string, tokens: Tokens): string {
  const field = fieldOf(line);
  if (field === null)
    return line.trim() === '' ? line : `${tokens.word('line', line.trim())}${lineEnd(line)}`;
  const { name, before, value, after } = field;
  return before + redactValue(name, value, tokens) + after;
}

function redactValue(name: string, value: string, tokens: Tokens): string {
  if (name === 'content-length' || name === 'l') return value;
  if (PLAIN.has(name)) return redactText(value, tokens);
  if (PARTIES.has(name)) return redactParties(value, tokens);
  if (VIA.has(name)) return listed(value, (one) => redactVia(one, tokens));
  if (CALL_IDS.has(name)) {
    return listed(value, (one) => {
      const [callId = '', ...parameters] = one.split(';');
      return [
        tokens.word('call', callId.trim()),
        ...parameters.map((each) => redactParameter(each, tokens)),
      ].join(';');
    });
  }
  if (name === 'www-authenticate' || name === 'proxy-authenticate')
    return `Digest ${redactText(value.replace(/^\S+ */, ''), tokens)}`;
  return tokens.word('value', value);
}

/** From, Contact and the like: `"Name" <URI>;parameters`, several with commas between. */
export function redactParties(value: string, tokens: Tokens): string {
  return listed(value, (one) => redactParty(one, tokens));
}

function redactParty(text: string, tokens: Tokens): string {
  const one = text.trim();
  if (one === '*' || one === '') return one;
  const open = one.indexOf('<', one.startsWith('"') ? closingQuote(one) : 0);
  if (open < 0) {
    const semicolon = one.indexOf(';');
    const [uri, rest] = semicolon < 0 ? [one, ''] : [one.slice(0, semicolon), one.slice(semicolon)];
    return redactUri(uri, tokens) + redactParameters(rest, tokens);
  }
  const close = one.indexOf('>', open);
  const display = unquoted(one.slice(0, open).trim());
  const shown = display === '' ? '' : `"${tokens.word('name', display)}" `;
  const uri = one.slice(open + 1, close < 0 ? undefined : close);
  return `${shown}<${redactUri(uri, tokens)}>${redactParameters(close < 0 ? '' : one.slice(close + 1), tokens)}`;
}

/** Behind the quote that ends the string which the text begins with. */
function closingQuote(text: string): number {
  for (let at = 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at + 1;
  }
  return text.length;
}

function unquoted(text: string): string {
  return text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}

/** `sip:user@host:port;parameters`; its headers are left out. Of a URI of another scheme nothing but the scheme is left. */
function redactUri(uri: string, tokens: Tokens): string {
  const colon = uri.indexOf(':');
  const scheme = colon < 0 ? '' : uri.slice(0, colon).toLowerCase();
  const rest = uri.slice(colon + 1);
  if (scheme === 'tel') {
    const [number = '', ...parameters] = rest.split(';');
    const digits = number.replace(/[-.()]/g, '');
    return [`tel:${tokens.user(digits)}`, ...parameters.map((one) => redactParameter(one, tokens))].join(';');
  }
  if (scheme !== 'sip' && scheme !== 'sips') return `urn:${tokens.word('uri', uri)}`;
  const at = rest.lastIndexOf('@');
  const [user = '', ...ofUser] = at < 0 ? [''] : rest.slice(0, at).split(/[;:]/, 4);
  const shown = at < 0 ? '' : `${tokens.user(user)}${ofUser.length > 0 ? ';x' : ''}@`;
  const [place = ''] = rest.slice(at + 1).split('?', 1);
  const [hostPort = '', ...parameters] = place.split(';');
  const all = [`${uri.slice(0, colon)}:${shown}${redactHostPort(hostPort, tokens)}`];
  return [...all, ...parameters.map((one) => redactParameter(one, tokens))].join(';');
}

function redactHostPort(text: string, tokens: Tokens): string {
  const word = text.trim();
  const end = word.startsWith('[') ? word.indexOf(']') + 1 : word.indexOf(':');
  const host = end > 0 ? word.slice(0, end) : word;
  const port = end > 0 ? word.slice(end).replaceAll(' ', '') : '';
  const isPort = port.startsWith(':') && isDigits(port.slice(1));
  return `${host === '' ? '' : tokens.host(host)}${isPort ? port : ''}`;
}

function redactVia(text: string, tokens: Tokens): string {
  const one = text.trim();
  const space = one.search(/\s(?=[^\s/])/);
  const protocol = space < 0 ? '' : one.slice(0, space).replaceAll(' ', '').replaceAll('\t', '');
  const [sentBy = '', ...parameters] = one.slice(space + 1).split(';');
  const all = [`${protocol} ${redactHostPort(sentBy, tokens)}`];
  return [...all, ...parameters.map((each) => redactParameter(each, tokens))].join(';');
}

function redactParameters(text: string, tokens: Tokens): string {
  const [first = '', ...parameters] = separate(text, ';');
  return [
    first.trim() === '' ? '' : tokens.word('parameter', first.trim()),
    ...parameters.map((one) => redactParameter(one, tokens)),
  ].join(';');
}

function redactParameter(text: string, tokens: Tokens): string {
  const one = text.trim();
  const equals = one.indexOf('=');
  const name = (equals < 0 ? one : one.slice(0, equals)).trim();
  const small = name.toLowerCase();
  if (equals < 0) return PLAIN_PARAMETERS.has(small) ? name : tokens.word('parameter', name);
  const value = one.slice(equals + 1).trim();
  if (TAGS.has(small)) return `${name}=${tokens.word('tag', value)}`;
  if (small === 'branch') return `${name}=${redactBranch(value, tokens)}`;
  if (!PLAIN_PARAMETERS.has(small))
    return `${name}=${value.startsWith('"') ? `"${tokens.word('text', unquoted(value))}"` : tokens.word('text', value)}`;
  return `${name}=${small === 'received' || small === 'maddr' ? redactHostPort(value, tokens) : redactText(value, tokens)}`;
}

function redactBranch(value: string, tokens: Tokens): string {
  if (!value.toLowerCase().startsWith(BRANCH_COOKIE.toLowerCase())) return tokens.word('branch', value);
  return `${BRANCH_COOKIE}${tokens.word('branch', value.slice(BRANCH_COOKIE.length))}`;
}

/** Each part of a list with commas between, which stand neither in quotes nor in <>. */
function listed(value: string, redact: (one: string) => string): string {
  return separate(value, ',').map(redact).join(', ');
}

function separate(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  let isQuoted = false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (isQuoted && character === '\\') at++;
    else if (character === '"') isQuoted = !isQuoted;
    else if (!isQuoted && character === '<') depth++;
    else if (!isQuoted && character === '>') depth = 0;
    else if (!isQuoted && depth === 0 && character === separator) {
      parts.push(text.slice(start, at));
      start = at + 1;
    }
  }
  return [...parts, text.slice(start)];
}
