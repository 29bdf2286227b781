import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createInspector } from '../../src/inspector.ts';
import { tcpPacket, udpPacket } from '../packets.ts';
import { host, networks, peer, sdp, settingsWith, sip } from '../scene.ts';

const pbx = host('192.168.1.10', 5061);
const provider = host('203.0.113.113', 40_000);
/** The first bytes of a ClientHello and a ServerHello as OpenSSL 3 writes them. */
const CLIENT_HELLO = Buffer.from('160301013401000130030364', 'hex');
const SERVER_HELLO = Buffer.from('160303007a0200007603038e', 'hex');
const MINUTE = 60_000;

function createPlace(changes: Parameters<typeof settingsWith>[0] = {}) {
  const inspector = createInspector(() => settingsWith({ inside: networks('192.168.0.0/16'), ...changes }));
  let now = 1000;
  const told: string[] = [];
  const inspect = (bytes: Buffer) => {
    for (const event of inspector.inspect(bytes, ++now).events) {
      if (event.type === 'refused' && event.refusal.reason === 'encrypted-signalling')
        told.push(event.refusal.detail);
    }
  };
  return {
    inspector,
    told,
    inspect,
    connect(from = provider, to = pbx, hello = CLIENT_HELLO) {
      inspect(tcpPacket(from, to, { seq: now * 1000, flags: 2 }));
      inspect(tcpPacket(from, to, { seq: (now - 1) * 1000 + 1, payload: hello }));
    },
    pass(ms: number) {
      now += ms;
    },
  };
}

describe('signalling that is encrypted', () => {
  it('is said where TLS begins, with whom, once a minute', () => {
    const { connect, told, pass, inspector } = createPlace();
    connect();
    connect({ ...provider, port: 40_001 });
    assert.deepEqual(told, [
      'signalling with 203.0.113.113 is encrypted (TLS): mirror it by HEP, or have it come in clear',
    ]);
    assert.equal(inspector.stats.refusals.get('encrypted-signalling'), 2);
    pass(MINUTE);
    connect({ ...provider, port: 40_002 });
    assert.equal(told.length, 2);
    connect(pbx, host('198.51.100.7', 5061), SERVER_HELLO);
    assert.match(told[2]!, /198\.51\.100\.7/);
  });

  it('is said of a connection that is older than the daemon, with the first that it carries', () => {
    const data = Buffer.concat([Buffer.from('1703030140', 'hex'), Buffer.alloc(0x140, 0x5a)]);
    for (const peers of [[], [peer('itsp', { networks: networks('203.0.113.113') })]]) {
      const { inspect, told, pass, inspector } = createPlace({ peers });
      const segment = (from: typeof pbx, to: typeof pbx, seq: number, payload: Buffer) =>
        inspect(tcpPacket(from, to, { seq, ack: 1, flags: 0x18, payload }));
      segment(provider, pbx, 7000, data);
      assert.deepEqual(told, [
        'signalling with 203.0.113.113 is encrypted (TLS): mirror it by HEP, or have it come in clear',
      ]);
      pass(MINUTE);
      segment(provider, pbx, 7000 + data.length, data);
      assert.equal(told.length, 1, 'not again for as long as it is up');
      segment(pbx, host('198.51.100.7', 5061), 9000, data);
      assert.match(told[1]!, /198\.51\.100\.7/);
      for (const [n, other] of [
        '17030301',
        '1702030140',
        '170305014000',
        '1703034900aa',
        '47455420',
      ].entries()) {
        segment({ ...provider, port: 41_000 + n }, host('192.168.1.12', 5061), 1, Buffer.from(other, 'hex'));
      }
      assert.equal(told.length, 2);
      assert.equal(inspector.stats.refusals.get('encrypted-signalling'), 2);
    }
  });

  it('is said where a message in clear asks for what follows over TLS', () => {
    const asking: readonly (readonly [string, string])[] = [
      ['INVITE', 'Contact: <sip:bob@192.0.2.1:5061;transport=tls>'],
      ['302 INVITE', 'Contact: <sips:bob@192.0.2.1>'],
      ['200 INVITE', 'Record-Route: <sip:192.0.2.1;transport=tls;lr>'],
      ['INVITE', 'CONTACT : <sip:bob@192.0.2.1;transport=wss>'],
      ['INVITE', 'm: <sips:bob@192.0.2.1>'],
      ['INVITE', 'Record-Route: <sip:192.0.2.1;lr>\r\nRecord-Route: <sip:192.0.2.2;lr;Transport=TLS>'],
      ['INVITE', 'Record-Route: <sip:192.0.2.1;lr>,\r\n <sips:192.0.2.2;lr>'],
      // As pjsip and chan_sip write it; case counts for nothing (RFC 3261 19.1.4).
      ['INVITE', 'Contact: <sip:bob@192.0.2.1:9687;transport=TLS;ob>;expires=3600'],
      ['302 INVITE', 'Contact: "Bob" <sip:192.0.2.2>, <SIPS:bob@192.0.2.1:5071>'],
      ['REGISTER', 'Contact: sip:bob@192.0.2.1;transport=tls'],
    ];
    for (const [start, header] of asking) {
      const { inspect, told } = createPlace();
      inspect(udpPacket(pbx, provider, sip(start, { headers: [header] })));
      assert.deepEqual(
        told,
        [
          'signalling with 203.0.113.113 goes on encrypted, as Contact or Record-Route asks: mirror it by HEP, or have it come in clear',
        ],
        header,
      );
    }
  });

  it('is said with the name for which DNS has the port, which nobody looks up here', () => {
    const { inspect, told } = createPlace();
    inspect(udpPacket(pbx, provider, sip('INVITE', { headers: ['Contact: <sips:bob@sip.example.com>'] })));
    assert.deepEqual(told, [
      'signalling with 203.0.113.113 goes on encrypted, as Contact or Record-Route asks, to sip.example.com at the port that DNS has for it (SRV): mirror it by HEP, or have it come in clear',
    ]);
  });

  it('is said once a minute, whatever names an outside party makes up', () => {
    const { inspect, told } = createPlace();
    for (let count = 0; count < 20; count++) {
      const headers = [`Contact: <sips:bob@host${count}.example.org>`];
      inspect(udpPacket(provider, pbx, sip('302 INVITE', { callId: `c${count}`, headers })));
    }
    assert.equal(told.length, 1);
  });

  it('is said of TLS that follows a name, in the time that a request has for it', () => {
    const headers = ['Contact: <sip:bob@edge.example.net>'];
    for (const start of ['200 INVITE', '302 INVITE']) {
      const { inspect, told, connect, pass } = createPlace();
      inspect(udpPacket(provider, pbx, sip(start, { to: 'b', headers })));
      assert.deepEqual(told, [], 'most of them go on in clear');
      connect(pbx, host('198.51.100.7', 5061), SERVER_HELLO);
      pass(32_000);
      connect(pbx, host('198.51.100.8', 5061), SERVER_HELLO);
      assert.deepEqual(told, [
        'signalling with 198.51.100.7 is encrypted (TLS), where DNS may have led for edge.example.net, which a message named: mirror it by HEP, or have it come in clear',
        'signalling with 198.51.100.8 is encrypted (TLS): mirror it by HEP, or have it come in clear',
      ]);
    }
  });

  it('is nothing where TLS is only spoken of, or carries no SIP here', () => {
    const { inspect, told, connect } = createPlace();
    const body = `${sdp('192.168.1.10', [10_000])}a=m: sips:somebody\r\n`;
    inspect(
      udpPacket(
        pbx,
        provider,
        sip('INVITE', { headers: ['Subject: transport=tls', 'X-Contact: sips:a@b'], body }),
      ),
    );
    inspect(
      udpPacket(
        pbx,
        provider,
        sip('INVITE', { cseq: 2, headers: ['Via: SIP/2.0/TLS 192.0.2.1;transport=tls'] }),
      ),
    );
    connect(provider, pbx, Buffer.from('GET / HTTP/1.1\r\n\r\n'));
    connect(provider, pbx, Buffer.from('1603', 'hex'));
    assert.deepEqual(told, []);
  });

  it('is not said of hosts that mirror, nor of captures', () => {
    const mirrors = {
      listen: { address: '192.168.1.1', port: 9060 },
      from: networks('192.168.1.10'),
      speaksFor: [],
    };
    const { connect, told } = createPlace({ hep: mirrors });
    connect();
    assert.deepEqual(told, []);
    connect(provider, host('192.168.1.11', 5061));
    assert.equal(told.length, 1);
    const off = createPlace({ hep: { ...mirrors, listen: null } });
    off.connect();
    assert.equal(off.told.length, 1);
    const capture = createPlace({ trustMidstream: true });
    capture.connect();
    assert.deepEqual(capture.told, []);
  });
});
