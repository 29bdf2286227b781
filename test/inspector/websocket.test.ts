import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createInspector } from '../../src/inspector.ts';
import { frame } from '../packet/websocket-frames.ts';
import { tcpPacket } from '../packets.ts';
import { type Host, host, networks, peer, sdp, settingsWith, sip } from '../scene.ts';

const pbx = host('192.168.1.10', 8088);
const desk = host('192.168.1.20', 40_000);
const browser = host('203.0.113.5', 40_000);
const foreign = host('203.0.113.66', 8088);
/** A peer with a name. */
const trunk = host('198.51.100.1', 8088);
const COMPRESSED =
  'SIP over WebSocket, of which frames are compressed (permessage-deflate) or otherwise extended';
const MASK = Uint8Array.of(0x37, 0xfa, 0x21, 0x3d);

const asking = (protocol = 'sip') =>
  `GET /ws HTTP/1.1\r\nHost: pbx\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${protocol}\r\nSec-WebSocket-Version: 13\r\n\r\n`;
const granting = (protocol = 'sip') =>
  `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: ${protocol}\r\n\r\n`;

/** One connection, cut as the places say. */
function createConnection(client: Host, server: Host, places: readonly number[] = []) {
  const settings = settingsWith({
    inside: networks('192.168.0.0/16'),
    peers: [
      peer('itsp', { networks: networks('198.51.100.0/24') }),
      peer(null, { networks: networks('0.0.0.0/0') }),
    ],
  });
  const inspector = createInspector(() => settings);
  let now = 1000;
  const next = new Map<Host, number>([
    [client, 101],
    [server, 901],
  ]);
  const refused: string[] = [];
  const segment = (from: Host, fields: Parameters<typeof tcpPacket>[2]) => {
    const { events } = inspector.inspect(tcpPacket(from, from === client ? server : client, fields), ++now);
    for (const event of events) {
      if (event.type === 'refused' && event.refusal.reason === 'stream-unusable')
        refused.push(event.refusal.detail);
    }
  };
  segment(client, { seq: 100, flags: 2 });
  segment(server, { seq: 900, ack: 101, flags: 0x12 });
  return {
    inspector,
    refused,
    send(from: Host, bytes: Buffer | string) {
      const all = Buffer.from(bytes);
      const cuts = [...new Set([0, ...places.map((place) => place % (all.length + 1)), all.length])].sort(
        (a, b) => a - b,
      );
      for (let at = 1; at < cuts.length; at++) {
        const payload = all.subarray(cuts[at - 1], cuts[at]);
        const seq = next.get(from)!;
        next.set(from, seq + payload.length);
        segment(from, { seq, ack: next.get(from === client ? server : client)!, payload });
      }
    },
    open: () => [...inspector.pinholes()].map(({ address, ports: [first] }) => `${address} ${first}`),
  };
}

const invite = (from: Host, port = 10_000) => sip('INVITE', { body: sdp(from.address, [port]) });

describe('SIP over WebSocket (RFC 7118)', () => {
  it('opens what an inside server announces, and closes it after BYE, however segments are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(2000), { maxLength: 12 }),
        fc.nat(3),
        fc.boolean(),
        (places, fragments, ping) => {
          const { send, open, inspector } = createConnection(browser, pbx, places);
          const ask = (text: string) => send(browser, frame(text, { mask: MASK, fragments, ping }));
          const say = (text: string) => send(pbx, frame(text, { fragments, ping }));
          send(browser, asking());
          send(pbx, granting());
          ask(invite(browser));
          assert.deepEqual(open(), []);
          say(sip('200 INVITE', { to: 'b', body: sdp(pbx.address, [10_000]) }));
          assert.deepEqual(open(), ['192.168.1.10 10000']);
          ask(sip('ACK', { to: 'b' }));
          ask(sip('BYE', { to: 'b', cseq: 2 }));
          say(sip('200 BYE', { to: 'b', cseq: 2 }));
          inspector.tick(100_000);
          assert.deepEqual(open(), []);
          assert.equal(inspector.stats.messages.tcp, 5);
        },
      ),
    );
  });

  it('is read without Content-Length, which no message there needs', () => {
    const { send, open } = createConnection(browser, pbx);
    send(browser, asking());
    send(pbx, granting());
    send(pbx, frame(invite(pbx).replace(/Content-Length: [0-9]+\r\n/, '')));
    assert.deepEqual(open(), ['192.168.1.10 10000']);
  });

  it('is not read on the word of a page: not to a server outside, not before the server has agreed, not for another protocol', () => {
    const attempts: readonly (readonly [Host, Host, string, string | null])[] = [
      [desk, foreign, asking(), granting()],
      [desk, trunk, asking(), null],
      [desk, trunk, asking(), 'HTTP/1.1 400 Bad Request\r\n\r\n'],
      [desk, trunk, asking('chat'), granting('chat')],
      [desk, trunk, asking(), granting('chat')],
    ];
    for (const [client, server, question, answer] of attempts) {
      const { send, open } = createConnection(client, server);
      send(client, question);
      if (answer !== null) send(server, answer);
      send(client, frame(invite(client), { mask: MASK }));
      assert.deepEqual(open(), [], `${question}${answer}`);
    }
    const agreed = createConnection(desk, trunk);
    agreed.send(desk, asking());
    agreed.send(trunk, granting());
    agreed.send(desk, frame(invite(desk), { mask: MASK }));
    assert.deepEqual(agreed.open(), ['192.168.1.20 10000'], 'once it has agreed');
    const { send, open } = createConnection(desk, trunk);
    send(desk, asking());
    send(trunk, granting());
    send(desk, invite(desk));
    assert.deepEqual(open(), [], 'SIP that is in no frame');
  });

  it('ends with what is no frame, and says so', () => {
    const { send, open, refused } = createConnection(browser, pbx);
    send(browser, asking());
    send(pbx, granting());
    send(pbx, Buffer.from([0xff, 0xff]));
    send(pbx, frame(invite(pbx)));
    assert.deepEqual(open(), []);
    assert.equal(refused.length, 1);
  });

  it('says that it is compressed (RFC 7692), once for each way, and is read until then', () => {
    const { send, open, refused } = createConnection(browser, pbx);
    const agreed = 'Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n';
    send(browser, asking().replace(/\r\n\r\n$/, `\r\n${agreed}`));
    send(pbx, granting().replace(/\r\n\r\n$/, `\r\n${agreed}`));
    send(pbx, frame(invite(pbx)));
    assert.deepEqual([open(), refused], [['192.168.1.10 10000'], []]);
    // RFC 7692 7.2.3.1: "Hello" in one compressed frame.
    for (let times = 0; times < 2; times++) send(pbx, Buffer.from('c107f248cdc9c90700', 'hex'));
    send(browser, Buffer.from('c18700000000f248cdc9c90700', 'hex'));
    assert.deepEqual(refused, [
      `TCP 192.168.1.10 8088 > 203.0.113.5 40000: ${COMPRESSED}`,
      `TCP 203.0.113.5 40000 > 192.168.1.10 8088: ${COMPRESSED}`,
    ]);
  });

  it('is nothing to say of where it carries no SIP, or nobody agreed', () => {
    for (const [question, answer] of [
      [asking('chat'), granting('chat')],
      [asking(), 'HTTP/1.1 400 Bad Request\r\n\r\n'],
      [asking(), granting().replace('Upgrade: websocket', 'X-Injected: a\nUpgrade: websocket')],
    ] as const) {
      const { send, open, refused } = createConnection(browser, pbx);
      send(browser, question);
      send(pbx, answer);
      send(pbx, Buffer.from('c107f248cdc9c90700', 'hex'));
      send(pbx, frame(invite(pbx)));
      assert.deepEqual([open(), refused], [[], []]);
    }
  });
});
