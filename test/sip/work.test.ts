import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { assertLinear, total, workOf } from '../work.ts';
import { isError } from './messages.ts';
import { COMPACT, filled, HEADERS, message, type Parts, UNITS, VALUES } from './repeating.ts';

const { readSip } = await import('../../src/sip/read.ts');
const { createSipFramer } = await import('../../src/sip/stream.ts');
const { isKeepalive, looksLikeSip } = await import('../../src/sip/recognise.ts');

/** Steps for each byte of a message, whatever its bytes. Usual ones take two to four. */
const MOST = 90;
const SIZE = 4096;

/** Everything that the room does with the bytes of a packet. */
function readAll(bytes: Buffer): void {
  looksLikeSip(bytes);
  isKeepalive(bytes);
  readSip(bytes);
  readSip(bytes, { stream: true });
  createSipFramer().push(bytes);
  const framer = createSipFramer();
  for (let at = 0; at < bytes.length; at += 1000) framer.push(bytes.subarray(at, at + 1000));
}

/** Reads what `build` makes of 4 and of 8 kB, by every way there is, and holds that no expression ran. */
function walk(name: string, build: (size: number) => Buffer): void {
  const { expressions } = assertLinear(name, SIZE, MOST, (size) => {
    const bytes = build(size);
    return () => readAll(bytes);
  });
  assert.deepEqual([...expressions.keys()], [], `${name}: regular expressions on what comes from the wire`);
}

describe('work is linear in the bytes', () => {
  for (const header of HEADERS) {
    it(`in a value of ${header} that repeats something`, () => {
      for (const unit of UNITS) {
        walk(`${header}: ${JSON.stringify(unit)}`, (size) =>
          message({ headers: { [header]: filled(unit, size) } }),
        );
      }
    });
  }

  it('in a value of a header in its compact form', () => {
    for (const header of COMPACT) {
      for (const unit of ['a', ';a', '"', 'sip:a:', '\r\n ']) {
        walk(`${header}: ${JSON.stringify(unit)}`, (size) =>
          message({ headers: { [header]: filled(unit, size) } }),
        );
      }
    }
  });

  it('in a value that begins well', () => {
    for (const [header, value] of Object.entries(VALUES)) {
      for (const unit of UNITS) {
        walk(`${header} and then ${JSON.stringify(unit)}`, (size) =>
          message({ headers: { [header]: value + filled(unit, size) } }),
        );
      }
    }
  });

  it('in a start-line that repeats something, and in one of a response', () => {
    for (const unit of UNITS) {
      for (const [before, after] of [
        ['', ''],
        ['', ' sip:b SIP/2.0'],
        ['INVITE ', ' SIP/2.0'],
        ['INVITE sip:b', ' SIP/2.0'],
        ['INVITE sip:b SIP/2.0', ''],
        ['SIP/2.0 200 ', ''],
        ['SIP/2.0 ', ''],
      ] as const) {
        walk(`start-line ${before}${JSON.stringify(unit)}${after}`, (size) =>
          message({ start: before + filled(unit, size) + after }),
        );
      }
    }
  });
});

/** Bytes that lead to each error that a reader may answer, with a value that repeats where it is told. */
const ERRORS: Readonly<Record<string, (value: string) => Parts>> = {
  'malformed-start-line': (value) => ({ start: `INVITE ${value} x SIP/2.0` }),
  'missing-header': (value) => ({ headers: { To: null, From: value } }),
  'malformed-header': (value) => ({ headers: { CSeq: `x${value}` } }),
  'conflicting-header': (value) => ({ more: [`To: x${value}`] }),
  'bad-content-length': (value) => ({ more: [`Content-Length: x${value}`] }),
  'truncated-body': (value) => ({
    more: ['Content-Type: a', 'Content-Length: 999999'],
    headers: { To: `<sip:b>;x=${value}` },
  }),
  'too-many-headers': (value) => ({
    more: ['X:1', 'X:2', 'X:3', ...filled('X:1\r\n', value.length).split('\r\n')],
  }),
};

describe('every error', () => {
  for (const [error, parts] of Object.entries(ERRORS)) {
    it(`${error} is linear in the bytes it tells of`, () => {
      const plain = readSip(message(parts('y')), { maxHeaders: 7 });
      assert.equal(isError(plain) ? plain.error : 'read', error);
      for (const unit of UNITS) {
        walk(`${error} ${JSON.stringify(unit)}`, (size) => message(parts(filled(unit, size))));
      }
    });
  }

  it('of a header that is there twice, or many times, is linear', () => {
    for (const header of HEADERS) {
      for (const unit of UNITS) {
        walk(`${header} twice: ${JSON.stringify(unit)}`, (size) => {
          const value = filled(unit, size / 2);
          return message({ more: [`${header}: ${value}`, `${header}: ${value}x`] });
        });
      }
      walk(`${header} often`, (size) => message({ more: filled(`${header}: 1\r\n`, size).split('\r\n') }));
    }
  });

  it('of a line that ends in LF on a stream is linear', () => {
    for (const unit of UNITS) {
      walk(`LF ${JSON.stringify(unit)}`, (size) =>
        Buffer.from(`INVITE sip:b SIP/2.0\r\nX${filled(unit, size)}\nTo: x\r\n\r\n`, 'latin1'),
      );
    }
  });
});

describe('every part of a body', () => {
  const multipart = (content: string) =>
    message({ more: ['Content-Type: multipart/mixed;boundary=b'], body: content });
  const places: Readonly<Record<string, (value: string) => Buffer>> = {
    'a preamble': (value) => multipart(`${value}\r\n--b\r\n\r\nx\r\n--b--\r\n`),
    'lines without a colon': (value) => multipart(`--b\r\n${value}\r\n\r\nx\r\n--b--\r\n`),
    'short lines without a colon': (value) =>
      multipart(`--b\r\n${filled(`${value.slice(0, 4)}\r\n`, value.length)}\r\n--b--\r\n`),
    'a header of a part': (value) => multipart(`--b\r\nContent-Type: ${value}\r\n\r\nx\r\n--b--\r\n`),
    'headers of a part': (value) =>
      multipart(`--b\r\n${filled(`X: ${value.slice(0, 4)}\r\n`, value.length)}\r\n\r\nx\r\n--b--\r\n`),
    'a part': (value) => multipart(`--b\r\nContent-Type: application/sdp\r\n\r\n${value}\r\n--b--\r\n`),
    'many parts': (value) => multipart(filled(`--b\r\n${value.slice(0, 4)}\r\n\r\n`, value.length)),
    'a body that never ends': (value) => multipart(`--b\r\nContent-Type: application/sdp\r\n\r\n${value}`),
    'parts in parts': (value) =>
      multipart(
        `--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n--c\r\nContent-Type: multipart/mixed;boundary=d\r\n\r\n--d\r\n${value}\r\n--d--\r\n--c--\r\n--b--\r\n`,
      ),
    'a description': (value) => message({ more: ['Content-Type: application/sdp'], body: value }),
    'a boundary': (value) =>
      message({ more: [`Content-Type: multipart/mixed;boundary=${value}`], body: value }),
  };
  for (const [place, build] of Object.entries(places)) {
    it(`${place} that repeats something is linear`, () => {
      for (const unit of UNITS) walk(`${place} ${JSON.stringify(unit)}`, (size) => build(filled(unit, size)));
    });
  }
});

describe('a stream', () => {
  it('is linear in its bytes however it is cut, also in single bytes', () => {
    for (const unit of [
      '\r\n',
      '\n',
      'INVITE ',
      'X: 1\r\n',
      'a',
      ' ',
      message({ more: ['Content-Length: 0'] }).toString(),
    ]) {
      for (const prefix of [
        '',
        'INVITE sip:b SIP/2.0\r\n',
        'INVITE sip:b SIP/2.0\r\nContent-Length: 9000000\r\n\r\n',
      ]) {
        assertLinear(`stream of ${JSON.stringify(unit)}`, 4096, 400, (size) => {
          const bytes = Buffer.from(prefix + filled(unit, size), 'latin1');
          return () => {
            const framer = createSipFramer({ maxBytes: 10_000_000 });
            for (let at = 0; at < bytes.length; at++) framer.push(bytes.subarray(at, at + 1));
          };
        });
      }
    }
  });
});

describe('budgets', () => {
  it('10,000 headers, and one header of 64 kB (A15)', () => {
    for (const more of [filled('X: 1\r\n', 60_000).split('\r\n'), [`Subject: ${filled('s', 60_000)}`]]) {
      const bytes = message({ more });
      const steps = total(workOf(() => readSip(bytes)));
      assert.ok(steps <= 8 * bytes.length, `${steps} steps for ${bytes.length} bytes`);
    }
  });
});
