/** The parts of a message as text (latin1), for who writes it anew: all of it comes back when they are put together. */

interface Field {
  /** In small letters. */
  readonly name: string;
  /** Up to the value: name, colon, white space. */
  readonly before: string;
  readonly value: string;
  /** The line's end. */
  readonly after: string;
}

/** Index behind the empty line, or the end. */
export function bodyStart(text: string): number {
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (text[at + 1] === '\n') return at + 2;
    if (text[at + 1] === '\r' && text[at + 2] === '\n') return at + 3;
  }
  return text.length;
}

/** Lines with their ends; a line that goes on in the next (RFC 3261 7.3.1) is one. */
export function linesOf(text: string): string[] {
  const lines: string[] = [];
  let start = 0;
  while (start < text.length) {
    let lineFeed = text.indexOf('\n', start);
    while (lineFeed >= 0 && (text[lineFeed + 1] === ' ' || text[lineFeed + 1] === '\t')) {
      lineFeed = text.indexOf('\n', lineFeed + 1);
    }
    const next = lineFeed < 0 ? text.length : lineFeed + 1;
    lines.push(text.slice(start, next));
    start = next;
  }
  return lines;
}

/** Null where it is no header field. */
export function fieldOf(line: string): Field | null {
  const colon = line.indexOf(':');
  if (colon < 0) return null;
  let [start, end] = [colon + 1, line.length];
  while (end > start && isBlank(line[end - 1]!)) end--;
  while (start < end && isBlank(line[start]!)) start++;
  const name = line.slice(0, colon).trim().toLowerCase();
  return { name, before: line.slice(0, start), value: line.slice(start, end), after: line.slice(end) };
}

export function isBlank(character: string): boolean {
  return character === ' ' || character === '\t' || character === '\r' || character === '\n';
}

/** How a line ends. */
export function lineEnd(line: string): string {
  if (line.endsWith('\r\n')) return '\r\n';
  return line.endsWith('\n') ? '\n' : '';
}

const TYPE = new Set(['content-type', 'c']);
const ENCODING = new Set(['content-encoding', 'e']);
const TRANSFER_ENCODING = new Set(['content-transfer-encoding']);

/** The first value of a header field with one of these names; ''. */
function firstOf(lines: readonly string[], names: ReadonlySet<string>): string {
  for (const line of lines) {
    const field = fieldOf(line);
    if (field !== null && names.has(field.name)) return field.value;
  }
  return '';
}

/** Makes another text of a body; `type` is in small letters, without parameters, and '' where the body is encoded. */
type BodyWriter = (type: string, body: string) => string;

/** The body of a message with these header lines, each of its parts (RFC 2046 5.1), however deep, as `write` makes it. */
export function mapBody(headers: readonly string[], body: string, write: BodyWriter): string {
  if (body === '') return '';
  const encoding = firstOf(headers, ENCODING).toLowerCase();
  if (encoding !== '' && encoding !== 'identity') return write('encoded', body);
  const transfer = firstOf(headers, TRANSFER_ENCODING).toLowerCase();
  if (transfer === 'base64' || transfer === 'quoted-printable') return write('encoded', body);
  const type = firstOf(headers, TYPE);
  return typeOf(type).startsWith('multipart/') ? mapParts(type, body, write) : write(typeOf(type), body);
}

function typeOf(value: string): string {
  const semicolon = value.indexOf(';');
  const type = semicolon < 0 ? value : value.slice(0, semicolon);
  return type.replaceAll(' ', '').replaceAll('\t', '').toLowerCase();
}

/** The delimiters of parts within parts are known by the time they come. */
function mapParts(type: string, body: string, write: BodyWriter): string {
  const delimiters = new Set<string>();
  noteBoundary(delimiters, type);
  let result = '';
  let part: string[] = [];
  let isPreamble = true;
  const finish = () => {
    const text = part.join('');
    if (text.trim() === '') result += text;
    else result += isPreamble ? write('preamble', text) : mapPart(part, write);
    part = [];
    isPreamble = false;
  };
  for (const line of linesOf(body)) {
    const word = line.trimEnd();
    if (delimiters.has(word) || (word.endsWith('--') && delimiters.has(word.slice(0, -2)))) {
      finish();
      result += line;
      continue;
    }
    part.push(line);
    const field = fieldOf(line);
    if (field?.name === 'content-type') noteBoundary(delimiters, field.value);
  }
  finish();
  return result;
}

const BOUNDARY = 'boundary=';
const MOST_BOUNDARIES = 8;

/** Of a parameter `boundary`, with or without quotes. */
function noteBoundary(delimiters: Set<string>, type: string): void {
  const at = type.toLowerCase().indexOf(BOUNDARY);
  if (at < 0 || delimiters.size >= MOST_BOUNDARIES) return;
  const value = type.slice(at + BOUNDARY.length);
  const isQuoted = value.startsWith('"');
  const end = isQuoted ? value.indexOf('"', 1) : value.indexOf(';');
  const boundary = value.slice(isQuoted ? 1 : 0, end < 0 ? undefined : end).trim();
  if (boundary !== '') delimiters.add(`--${boundary}`);
}

/** Headers, an empty line, and what it holds. */
function mapPart(lines: readonly string[], write: BodyWriter): string {
  const blank = lines.findIndex((line) => line.trim() === '');
  if (blank < 0) return write('', lines.join(''));
  const headers = lines.slice(0, blank + 1);
  const body = lines.slice(blank + 1).join('');
  const isMultipart = typeOf(firstOf(headers, TYPE)).startsWith('multipart/');
  return headers.join('') + (body === '' || isMultipart ? body : mapBody(headers, body, write));
}
