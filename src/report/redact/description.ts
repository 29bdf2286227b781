import { lineEnd, linesOf } from '../../sip/lines.ts';
import { redactText } from './text.ts';
import { isDigits, type Tokens } from './tokens.ts';

/** Attributes whose value says nothing of anybody; addresses in it are redacted all the same. */
const PLAIN = new Set(
  (
    'rtpmap fmtp ptime maxptime sendrecv sendonly recvonly inactive rtcp rtcp-mux rtcp-mux-only rtcp-rsize rtcp-fb mid group ' +
    'setup connection ice-lite ice-options bundle-only extmap extmap-allow-mixed end-of-candidates silenceSupp framerate ' +
    'T38FaxVersion T38MaxBitRate T38FaxRateManagement T38FaxMaxBuffer T38FaxMaxDatagram T38FaxUdpEC ' +
    // Their keys were removed before.
    'crypto ice-pwd key-mgmt'
  )
    .toLowerCase()
    .split(' '),
);

/** A session description (RFC 8866) as `redactMessage` writes it. */
export function redactDescription(text: string, tokens: Tokens): string {
  return linesOf(text)
    .map((line) => {
      const end = lineEnd(line);
      return redactLine(line.slice(0, line.length - end.length), tokens) + end;
    })
    .join('');
}

function redactLine(line: string, tokens: Tokens): string {
  const value = line.slice(2);
  switch (line.slice(0, 2)) {
    case 'o=':
      return `o=${redactOrigin(value, tokens)}`;
    case 's=':
      return 's=-';
    case 'i=':
    case 'u=':
    case 'e=':
    case 'p=':
      return `${line.slice(0, 2)}${tokens.word('text', value)}`;
    case 'c=':
      return `c=${redactConnection(value, tokens)}`;
    case 'a=':
      return `a=${redactAttribute(value, tokens)}`;
    case 'v=':
    case 'b=':
    case 't=':
    case 'r=':
    case 'z=':
    case 'k=':
    case 'm=':
      return line.slice(0, 2) + redactText(value, tokens);
    default:
      return line === '' ? '' : tokens.word('line', line);
  }
}

function redactOrigin(value: string, tokens: Tokens): string {
  const [, id = '', version = '', ...connection] = value.split(' ');
  const number = (text: string) => (isDigits(text) ? text : tokens.word('text', text));
  return `- ${number(id)} ${number(version)} ${redactConnection(connection.join(' '), tokens)}`;
}

/** `IN IP4 192.0.2.1/127`. */
function redactConnection(value: string, tokens: Tokens): string {
  const [net = '', type = '', address = ''] = value.split(' ');
  const [host = '', ...more] = address.split('/');
  const shown = host === '' ? '' : tokens.host(host);
  return [net, type, [shown, ...more.filter(isDigits)].join('/')].join(' ');
}

function redactAttribute(value: string, tokens: Tokens): string {
  const colon = value.indexOf(':');
  const name = colon < 0 ? value : value.slice(0, colon);
  const rest = value.slice(colon + 1);
  const small = name.toLowerCase();
  if (colon < 0) return PLAIN.has(small) ? name : tokens.word('attribute', name);
  if (small === 'candidate') return `${name}:${redactCandidate(rest, tokens)}`;
  if (PLAIN.has(small)) return `${name}:${redactText(rest, tokens)}`;
  return `${/^[a-z0-9-]{1,32}$/i.test(name) ? name : tokens.word('attribute', name)}:${tokens.word('text', rest)}`;
}

/** RFC 8839 5.1: `foundation component transport priority address port typ type ...`. */
function redactCandidate(value: string, tokens: Tokens): string {
  const [foundation = '', component = '', transport = '', priority = '', address = '', ...more] =
    value.split(' ');
  const rest = more.map((word, index) =>
    more[index - 1] === 'raddr' ? tokens.host(word) : redactText(word, tokens),
  );
  const shown = address === '' ? '' : tokens.host(address);
  return [tokens.word('foundation', foundation), component, transport, priority, shown, ...rest].join(' ');
}
