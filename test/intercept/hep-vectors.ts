/** What kamailio 5.6.3's siptrace sent of one OPTIONS from 127.0.0.1 port 5099 to port 5062, as it came on the wire. */
const OPTIONS = [
  'OPTIONS sip:a@127.0.0.1 SIP/2.0',
  'Via: SIP/2.0/UDP 127.0.0.1:5099;branch=z9hG4bKx',
  'From: <sip:b@127.0.0.1>;tag=1',
  'To: <sip:a@127.0.0.1>',
  'Call-ID: hep@example.com',
  'CSeq: 1 OPTIONS',
  'Max-Forwards: 70',
  'Content-Length: 0',
  '',
  '',
].join('\r\n');

const withPayload = (hex: string) =>
  Buffer.concat([Buffer.from(hex.replaceAll(' ', ''), 'hex'), Buffer.from(OPTIONS)]);

/** hep_version 3, auth_key "secret", hep_capture_id 7. */
const version3 = withPayload(
  '48455033 0149 000000010007 02 000000020007 11 00000003000a 7f000001 00000004000a 7f000001 000000070008 13eb' +
    '000000080008 13c6 00000009000a 6b0935ce 0000000a000a 000cd0a1 0000000b0007 01 0000000c000a 00000007' +
    '0000000e000c 736563726574 0000000f00e0',
);
/** hep_version 2 and 1. */
const version2 = withPayload('02100211 13eb13c6 7f0000017f000001 d435096b 052d0300 07000000');
const version1 = withPayload('01100211 13eb13c6 7f0000017f000001');

export const KAMAILIO = { payload: OPTIONS, version3, version2, version1 } as const;
