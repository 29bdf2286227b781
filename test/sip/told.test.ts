import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readSip } from '../../src/sip/read.ts';
import { MAX_TOLD, told, withoutPasswords } from '../../src/sip/told.ts';
import { mustRead, mustRefuse } from './messages.ts';
import { message } from './repeating.ts';

describe('a URI that is told (RFC 3261 19.1.1: sip:user:password@host)', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['sip:alice:secret@example.com', 'sip:alice:***@example.com'],
    ['<SIPS:alice:secret@example.com:5061>;tag=1', '<SIPS:alice:***@example.com:5061>;tag=1'],
    ['sip:alice:se:cr:et@example.com', 'sip:alice:***@example.com'],
    ['sip::secret@example.com', 'sip::***@example.com'],
    ['"A" <sip:a:one@x>, <sip:b:two@y>', '"A" <sip:a:***@x>, <sip:b:***@y>'],
    ['sip:sip:sip:sip:secret@x', 'sip:sip:***@x'],
    ['sip:a:one@sip:b:two@x', 'sip:a:***@sip:b:***@x'],
    ['x-sip:a:one@y', 'x-sip:a:***@y'],
    ['(sip:a:one@y', '(sip:a:***@y'],
  ];
  for (const [text, shown] of cases) {
    it(text, () => assert.equal(withoutPasswords(text, false), shown));
  }

  it('is as it was when there is no password', () => {
    for (const text of [
      ...['', ':', '@', 'sip:', 'sip:alice@example.com', 'sip:example.com:5060', 'sip:[2001:db8::1]:5060'],
      ...['<sip:example.com:5060> <mail:a@b>', 'sip:a b:c@d', 'gossip:a:b@c', 'ship:a:b@c', 'sipx:a:b@c'],
      ...['sip:a:b>@c', 'sip:a:b<@c', 'tel:1:2@3', 'sip:a:b'],
    ]) {
      assert.equal(withoutPasswords(text, false), text);
    }
  });

  it('shows no beginning of a password that was cut', () => {
    const text = `sip:alice:${'secret'.repeat(200)}@example.com`;
    assert.equal(told(text, 0, text.length), 'sip:alice:***');
    assert.equal(told('sip:alice@example.com:5060 and more', 0, 26), 'sip:alice@example.com:5060');
    assert.equal(told('a'.repeat(1000), 0, 1000).length, MAX_TOLD);
  });
});

describe('what a message keeps', () => {
  const secret = 'secret'.repeat(200);

  it('has no password in any text, also where the text was cut', () => {
    const read = mustRead(
      readSip(
        message({
          start: `INVITE sip:bob:${secret}@example.com SIP/2.0`,
          headers: { From: `<sip:a:${secret}@b>;tag=1`, To: `"B"\r\n <sip:b:${secret}@b>` },
        }),
      ),
    );
    assert.deepEqual([read.subject, read.from, read.to], ['sip:bob:***', '<sip:a:***', '"B" <sip:b:***']);
  });

  it('has no password in an error', () => {
    for (const parts of [
      { start: `INVITE sip:bob:${secret}@example.com x SIP/2.0` },
      { headers: { CSeq: `sip:bob:${secret}@example.com` } },
      { headers: { From: `"<sip:a:${secret}@b>;tag=1` } },
      { more: [`To: <sip:c:${secret}@b>`] },
    ]) {
      const { detail } = mustRefuse(readSip(message(parts)));
      assert.doesNotMatch(detail, /secret/);
      assert.match(detail, /:\*\*\*/);
    }
  });
});

describe('identifiers', () => {
  const longest = 'x'.repeat(1024);
  const places = {
    'a Call-ID': (value: string) => ({ headers: { 'Call-ID': value } }),
    'a From tag': (value: string) => ({ headers: { From: `<sip:a>;tag=${value}` } }),
    'a To tag': (value: string) => ({ headers: { To: `<sip:a>;tag=${value}` } }),
    'a branch': (value: string) => ({ headers: { Via: `SIP/2.0/UDP a;branch=${value}` } }),
    'a sent-by': (value: string) => ({ headers: { Via: `SIP/2.0/UDP ${value};branch=1` } }),
    'a method': (value: string) => ({ start: `${value} sip:b SIP/2.0`, headers: { CSeq: `1 ${value}` } }),
    'a method of a response': (value: string) => ({
      start: 'SIP/2.0 200 OK',
      headers: { CSeq: `1 ${value}` },
    }),
  };
  for (const [place, parts] of Object.entries(places)) {
    it(`${place} of 1,024 characters is read, one more is refused`, () => {
      mustRead(readSip(message(parts(longest))));
      const { error, detail } = mustRefuse(readSip(message(parts(`${longest}y`))));
      assert.equal(error, 'malformed-header');
      assert.match(detail, /more than 1024 characters/);
    });
  }

  it('the method in a RAck is no longer either', () => {
    const rack = (method: string) => mustRead(readSip(message({ headers: { RAck: `1 2 ${method}` } }))).rack;
    assert.equal(rack(longest)?.method, longest);
    assert.equal(rack(`${longest}y`), null);
  });
});
