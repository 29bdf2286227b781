import { Buffer } from 'node:buffer';

/**
 * What makes a scan with a second thought slow: characters at which it starts, stops, or looks ahead for another
 * one that never comes. Repeated, they fill a value.
 */
export const UNITS: readonly string[] = [
  ...[
    'a',
    ' ',
    '\0',
    '\xff',
    '.',
    '-',
    '/',
    '[',
    ':',
    ';',
    ',',
    '=',
    '@',
    '<',
    '>',
    '"',
    '\\',
    '\\"',
    '\r\n ',
  ],
  ...['sip:', 'sip:a:', 'sip:a:b@', ':a', ' a', '="', ';tag=', ';branch="', ';a=b', ';a', '; = ', '<sip:a:b'],
  ...['--b', 'multipart/mixed;', 'boundary='],
];

/** `unit` again and again, whole, up to `length` characters. */
export function filled(unit: string, length: number): string {
  return unit.repeat(Math.floor(length / unit.length));
}

/** Headers that are read, and two that are not. */
export const HEADERS = [
  ...['Via', 'From', 'To', 'Call-ID', 'CSeq', 'Content-Length', 'Content-Type', 'Content-Disposition'],
  ...['Content-Encoding', 'RSeq', 'RAck', 'Expires', 'Session-Expires', 'Contact', 'X-Other'],
];
export const COMPACT = ['v', 'f', 't', 'i', 'l', 'c', 'e', 'x', 'm', 'q'];

/** Values that make a message with nothing wrong. */
export const VALUES: Readonly<Record<string, string>> = {
  Via: 'SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1',
  From: '<sip:a@example.com>;tag=1',
  To: '<sip:b@example.com>',
  'Call-ID': 'one@example.com',
  CSeq: '1 INVITE',
};

export interface Parts {
  readonly start?: string;
  /** Values that replace those of VALUES; `null` leaves the header out. */
  readonly headers?: Readonly<Record<string, string | null>>;
  /** Lines behind the headers. */
  readonly more?: readonly string[];
  readonly body?: string;
}

/** The bytes of an INVITE, changed as `parts` say. */
export function message({
  start = 'INVITE sip:b@example.com SIP/2.0',
  headers = {},
  more = [],
  body = '',
}: Parts): Buffer {
  const lines = Object.entries({ ...VALUES, ...headers }).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}`],
  );
  return Buffer.from([start, ...lines, ...more, '', body].join('\r\n'), 'latin1');
}
