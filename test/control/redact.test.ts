import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ExplainResult } from '../../src/report/live/explain.ts';
import { writeNewFile } from '../../src/report/pcap/file.ts';
import { captureOf } from '../../src/report/pcap/write.ts';
import { redactExplained } from '../../src/report/redact/explained.ts';
import { redactMessage } from '../../src/report/redact/message.ts';
import { redactText } from '../../src/report/redact/text.ts';
import { createTokens } from '../../src/report/redact/tokens.ts';
import { readSip } from '../../src/sip/read.ts';
import { withoutSecrets } from '../../src/sip/secrets.ts';
import { tsharkFields, withoutTshark } from '../tshark.ts';
import { scratch } from './socket.ts';

/** What nobody may read afterwards. */
const PRIVATE =
  /alice|bob|carol|acme|3087654|4930|192\.168\.7|81\.2\.69|2a02:|deadbeef|SEKRIT|b0b|Zoiper|laptop|F7gI|uuid/i;

const SDP = [
  'v=0',
  'o=alice 2890844526 2890844527 IN IP4 pbx.acme.example',
  's=Call of Alice',
  'i=acme',
  'c=IN IP4 192.168.7.20',
  't=0 0',
  'm=audio 49170 RTP/SAVP 0 101',
  'a=rtpmap:101 telephone-event/8000',
  'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:SEKRIT9zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz',
  'a=rtcp:49171 IN IP4 192.168.7.20',
  'a=ice-ufrag:F7gI',
  'a=candidate:1 1 UDP 2130706431 192.168.7.20 49170 typ host',
  'a=candidate:2 1 UDP 1694498815 81.2.69.160 3478 typ srflx raddr 192.168.7.20 rport 49170',
  'a=candidate:3 1 UDP 1 laptop-of-bob.local 49170 typ host',
  'a=fingerprint:sha-256 DE:AD:BE:EF',
  'a=x-owner:alice@acme',
  'a=sendrecv',
  '',
].join('\r\n');

const INVITE = [
  'INVITE sip:+493087654321@provider.acme.example:5061;user=phone SIP/2.0',
  'Via: SIP/2.0/UDP 192.168.7.20:5060;branch=z9hG4bKdeadbeef;rport=5060;received=81.2.69.160',
  'v: SIP/2.0/TCP [2a02:8109::7];branch=z9hG4bKdeadbeef2, SIP/2.0/UDP edge.acme.example;branch=z9hG4bKdeadbeef3',
  'From: "Alice \\"A\\" <x>" <sip:alice@acme.example>;tag=deadbeef-t',
  'To: <sip:+493087654321@provider.acme.example;user=phone>',
  'Call-ID: deadbeef@192.168.7.20',
  'CSeq: 7 INVITE',
  'Contact: Alice <sip:alice@192.168.7.20:5060;transport=udp>;expires=60;+sip.instance="<urn:uuid:deadbeef>"',
  'P-Asserted-Identity: <tel:+49-30-87654321;phone-context=acme.example>, "Carol" <sip:carol@acme.example>',
  'Diversion: <sip:b0b@acme.example>;reason=no-answer',
  'Authorization: Digest username="alice", response="SEKRIT"',
  'User-Agent: Zoiper acme',
  'X-Account: acme-4930',
  'Session-Expires: 1800;refresher=uac',
  'Max-Forwards: 70',
  'Content-Type: application/sdp',
  `Content-Length: ${SDP.length}`,
  '',
  SDP,
].join('\r\n');

const OK = [
  'SIP/2.0 200 Alice says OK',
  'Via: SIP/2.0/UDP 192.168.7.20:5060;branch=z9hG4bKdeadbeef;rport=5060;received=81.2.69.160',
  'From: "Alice" <sip:alice@acme.example>;tag=deadbeef-t',
  'To: <sip:+493087654321@provider.acme.example>;tag=b0b',
  'Call-ID: deadbeef@192.168.7.20',
  'CSeq: 7 INVITE',
  'Content-Length: 0',
  '',
  '',
].join('\r\n');

function redacted(text: string, tokens = createTokens()): string {
  const shown = redactMessage(withoutSecrets(Buffer.from(text, 'latin1')), tokens).toString('latin1');
  assert.doesNotMatch(shown, PRIVATE);
  return shown;
}

function mustRead(text: string) {
  const message = readSip(Buffer.from(text, 'latin1'), { stream: true });
  assert.ok(!('error' in message), text);
  return message;
}

describe('a redacted message', () => {
  it('is the same message of nobody in particular, of the length that it says', () => {
    const [before, after] = [mustRead(INVITE), mustRead(redacted(INVITE))];
    assert.deepEqual(
      [after.method, after.cseq, after.sessionExpires],
      [before.method, before.cseq, before.sessionExpires],
    );
    assert.ok(after.sdp.kind === 'sdp');
    const description = after.sdp.bytes.toString();
    assert.match(description, /^m=audio 49170 RTP\/SAVP 0 101\r$/m);
    assert.match(description, /^a=rtpmap:101 telephone-event\/8000\r$/m);
    assert.match(description, /^a=sendrecv\r$/m);
    assert.match(description, /^c=IN IP4 10\.0\.0\.1\r$/m, 'what was private is private');
    assert.match(description, /198\.51\.100\.1 3478 typ srflx raddr 10\.0\.0\.1 rport 49170\r$/m);
  });

  it('has the same token for the same, in one message and in the next', () => {
    const tokens = createTokens();
    const [invite, ok] = [mustRead(redacted(INVITE, tokens)), mustRead(redacted(OK, tokens))];
    assert.deepEqual(
      [invite.callId, invite.fromTag, invite.branch, invite.sentBy],
      [ok.callId, ok.fromTag, ok.branch, ok.sentBy],
    );
    assert.notEqual(ok.toTag, ok.fromTag);
    assert.match(invite.to, /<sip:\+9990000001@host\d+\.invalid;user=phone>/);
    assert.match(ok.to, /<sip:\+9990000001@/);
    assert.match(invite.subject, /^sip:\+9990000001@/);
    assert.equal(ok.subject, 'Reason');
  });

  it('opens in tshark as SIP with SDP, nothing malformed', { skip: withoutTshark }, () => {
    const tokens = createTokens();
    const directory = scratch();
    const file = join(directory.path, 'redacted.pcap');
    const [source, destination] = [
      { address: tokens.address('192.168.7.20'), port: 5060 },
      { address: tokens.address('81.2.69.160'), port: 5060 },
    ];
    const capture = captureOf([
      { at: 1000, transport: 'udp', source, destination, bytes: Buffer.from(redacted(INVITE, tokens)) },
      {
        at: 2000,
        transport: 'udp',
        source: destination,
        destination: source,
        bytes: Buffer.from(redacted(OK, tokens)),
      },
    ]);
    writeNewFile(file, capture);
    const fields = [
      'sip.Method',
      'sip.Status-Code',
      'sip.Call-ID',
      'sdp.connection_info.address',
      '_ws.malformed',
      'ip.src',
    ];
    assert.deepEqual(tsharkFields(file, fields), [
      ['INVITE', '', 'call1', '10.0.0.1', '', '10.0.0.1'],
      ['', '200', 'call1', '', '', '198.51.100.1'],
    ]);
    directory.remove();
  });

  it('has nothing of a header or an attribute that is not known', () => {
    fc.assert(
      fc.property(
        // The name of a header stays: by chance it would be one of those that nobody may read.
        fc.stringMatching(/^[A-Za-z][A-Za-z-]{0,10}$/).filter((name) => !PRIVATE.test(name)),
        fc.constantFrom('alice', '192.168.7.20', 'pbx.acme.example', '"SEKRIT"', '4930', 'sip:alice@acme'),
        (name, value) => {
          const unknown = `X-${name}: a ${value};b=${value}\r\n`;
          redacted(OK.replace('CSeq', `${unknown}CSeq`));
          redacted(
            INVITE.replace('a=sendrecv\r\n', `a=x${name}:${value} 1\r\na=sendrecv\r\n`).replace(
              /^Content-Length.*\r\n/m,
              '',
            ),
          );
        },
      ),
    );
  });

  it('comes of any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        redactMessage(Buffer.from(bytes), createTokens());
      }),
    );
  });
});

describe('redacted words', () => {
  it('have no addresses and names, and the rest as it was', () => {
    const tokens = createTokens();
    assert.equal(
      redactText(
        'The pinhole to 192.168.7.20:4000-4001 is open for 81.2.69.160, [2a02:8109::7]:5060: raise timers.offer.',
        tokens,
      ),
      'The pinhole to 10.0.0.1:4000-4001 is open for 198.51.100.1, [2001:db8::1]:5060: raise timers.offer.',
    );
    assert.equal(
      redactText(
        'see hep.max-age and peers-store.confirm, not log.acme.example or caps.acme.example',
        tokens,
      ),
      'see hep.max-age and peers-store.confirm, not host1.invalid or host2.invalid',
      'a setting is known by its whole name',
    );
    assert.equal(
      redactText('refused: pbx.acme.example ("Alice")', createTokens()),
      'refused: host1.invalid ("text1")',
    );
  });

  it('are those of an explained call', () => {
    const leg = {
      ...{
        legId: 'deadbeef00000000',
        callId: 'deadbeef@pbx.acme.example',
        fromTag: 'deadbeef',
        toTags: ['b0b'],
      },
      ...{
        parties: ['192.168.7.20', '81.2.69.160'],
        from: '"Alice" <sip:alice@acme.example>',
        to: 'sip:carol@acme.example',
      },
      pinholes: [
        {
          address: '192.168.7.20',
          sources: ['81.2.69.160', '2a02:8109::7'],
          media: 'audio',
          ports: [4000, 4001],
          external: '81.2.69.161',
        },
      ],
      refusals: [
        {
          reason: 'foreign-address',
          detail: 'audio at 192.168.7.21 of 192.168.7.20',
          transport: {
            owner: '192.168.7.20',
            address: '192.168.7.21',
            peer: '81.2.69.160',
            ports: [4000, 4001],
          },
          why: '',
        },
        { reason: 'answer-rate-limit', detail: 'of 81.2.69.160', transport: null, why: '' },
      ],
      messages: [
        { src: '192.168.7.20', dst: '81.2.69.160', summary: 'INVITE', sdp: 'audio 192.168.7.20:4000' },
        { src: '81.2.69.160', dst: '192.168.7.20', summary: '486 Alice is busy', sdp: null },
        { src: '81.2.69.160', dst: '192.168.7.20', summary: '487 Busy (ALICE)', sdp: null },
        { src: '81.2.69.160', dst: '192.168.7.20', summary: '603 (Alice) says no', sdp: null },
        { src: '81.2.69.160', dst: '192.168.7.20', summary: '200 OK (BYE)', sdp: null },
        { src: '81.2.69.160', dst: '192.168.7.20', summary: '481 (UPDATE)', sdp: null },
      ],
      withoutAudio: [
        { causes: [{ reason: 'nat', text: '81.2.69.160 cannot', advice: 'ask pbx.acme.example' }] },
      ],
    } as unknown as ExplainResult;
    const text = JSON.stringify(redactExplained(leg, createTokens()));
    assert.doesNotMatch(text, PRIVATE);
    assert.match(text, /"486 Reason"/);
    assert.match(text, /"487 Reason".*"603 Reason".*"200 OK \(BYE\)".*"481 \(UPDATE\)"/);
    assert.match(text, /foreign-address/);
  });
});
