import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Entered, Ingress } from '../../src/address/ingress.ts';
import { createInspector } from '../../src/inspector.ts';
import { readPacket } from '../../src/packet/ip.ts';
import { tcpPacket, udpPacket } from '../packets.ts';
import { type Host, host, LAN, networks, routerOf, sdp, settingsWith, sip, WAN } from '../scene.ts';

const INGRESS = routerOf('192.168.1.0/24', 'fd00:1::/64');

const families = [
  { pbx: host('192.168.1.10'), phone: host('192.168.1.11'), attacker: host('203.0.113.66') },
  { pbx: host('fd00:1::10'), phone: host('fd00:1::11'), attacker: host('2001:db8:66::1') },
];

function createWire(ingress: Ingress | null = INGRESS) {
  const settings = settingsWith({ inside: networks('192.168.0.0/16', 'fd00::/8') });
  const inspector = createInspector(() => settings);
  inspector.learn(ingress);
  let now = 1000;
  const refusals: string[] = [];
  const packet = (bytes: Buffer, entered: Entered | undefined) => {
    now += 1;
    const { events, verdict } = inspector.inspect(bytes, now, entered);
    for (const event of events) if (event.type === 'refused') refusals.push(event.refusal.reason);
    assert.equal(verdict, 'release');
  };
  return {
    inspector,
    refusals,
    packet,
    send: (from: Host, to: Host, text: string, entered: Entered | undefined) =>
      packet(udpPacket(from, to, text), entered),
    open: () => [...inspector.pinholes()].map(({ address, ports }) => `${address} ${ports.join('-')}`),
  };
}

for (const { pbx, phone, attacker } of families) {
  describe(`inside addresses from outside, ${pbx.address}`, () => {
    it('two blind datagrams open nothing (A19)', () => {
      const wire = createWire();
      const named = sdp(attacker.address, [9]);
      wire.send(pbx, phone, sip('INVITE', { body: sdp(pbx.address, [20000]) }), WAN);
      wire.send(phone, pbx, sip('200 INVITE', { to: 'b', body: named }), WAN);
      assert.deepEqual(wire.open(), []);
      assert.deepEqual(wire.refusals, ['spoofed-inside', 'spoofed-inside']);
      assert.equal(wire.inspector.sizes().calls, 0);
      assert.equal(wire.inspector.stats.spoofed, 2);
    });

    it('the same two from inside open what they announce', () => {
      const wire = createWire();
      wire.send(pbx, phone, sip('INVITE', { body: sdp(pbx.address, [20000]) }), LAN);
      wire.send(phone, pbx, sip('200 INVITE', { to: 'b', body: sdp(phone.address, [30000]) }), LAN);
      assert.deepEqual(wire.open().sort(), [`${pbx.address} 20000-20001`, `${phone.address} 30000-30001`]);
      assert.deepEqual(wire.refusals, []);
    });

    it('an answer to the real call of an inside host, and every message within it', () => {
      const wire = createWire();
      wire.send(pbx, phone, sip('INVITE', { body: sdp(pbx.address, [20000]) }), LAN);
      const before = wire.open();
      wire.send(phone, pbx, sip('200 INVITE', { to: 'x', body: sdp(attacker.address, [9]) }), WAN);
      assert.deepEqual(wire.open(), before);
      wire.send(phone, pbx, sip('200 INVITE', { to: 'b', body: sdp(phone.address, [30000]) }), LAN);
      wire.send(pbx, phone, sip('ACK', { to: 'b' }), LAN);
      const established = wire.open();
      for (const method of ['INVITE', 'UPDATE', 'BYE']) {
        wire.send(pbx, phone, sip(method, { to: 'b', cseq: 5, body: sdp(pbx.address, [20100]) }), WAN);
        wire.send(phone, pbx, sip(`200 ${method}`, { to: 'b', cseq: 5 }), WAN);
      }
      assert.deepEqual(wire.open(), established);
      assert.equal([...wire.inspector.calls()][0]?.state, 'confirmed');
    });

    it('a packet of the host itself: made on this machine, over loopback, or where nothing is known', () => {
      for (const entered of [null, 1, 99]) {
        const wire = createWire();
        wire.send(pbx, attacker, sip('INVITE', { body: sdp(pbx.address, [20000]) }), entered);
        assert.equal(wire.open().length > 0, true, String(entered));
      }
    });

    for (const { where, entered, learn } of [
      { where: 'nothing says where they came in', entered: undefined, learn: INGRESS },
      { where: 'their interface has just appeared', entered: 99, learn: INGRESS },
      { where: 'interfaces cannot be looked at', entered: LAN, learn: null },
    ]) {
      it(`between two inside hosts, where ${where}, they open nothing, over UDP and TCP, and go on`, () => {
        const wire = createWire(learn);
        const named = sdp(attacker.address, [9]);
        wire.send(pbx, phone, sip('INVITE', { body: sdp(pbx.address, [20000]) }), entered);
        wire.send(phone, pbx, sip('200 INVITE', { to: 'b', body: named }), entered);
        wire.packet(tcpPacket(pbx, phone, { seq: 100, flags: 2 }), entered);
        const invite = sip('INVITE', { callId: 'tcp', body: sdp(pbx.address, [20000]) });
        wire.packet(tcpPacket(pbx, phone, { seq: 101, payload: invite }), entered);
        assert.deepEqual(wire.open(), []);
        assert.deepEqual(wire.refusals, ['unknown-interface', 'unknown-interface']);
        assert.equal(wire.inspector.sizes().calls, 0);
      });
    }

    it('between an inside and an outside host, where nothing is known, the address has to do', () => {
      const wire = createWire(null);
      wire.send(attacker, pbx, sip('INVITE', { body: sdp(attacker.address, [9]) }), undefined);
      wire.send(pbx, attacker, sip('200 INVITE', { to: 'b', body: sdp(pbx.address, [20000]) }), undefined);
      assert.deepEqual(wire.open(), [`${pbx.address} 20000-20001`]);
    });

    it('in a capture they are taken to have come in where they should', () => {
      const wire = createWire(null);
      const whole = readPacket(udpPacket(pbx, phone, sip('INVITE', { body: sdp(pbx.address, [20000]) })));
      assert.ok(typeof whole !== 'string');
      wire.inspector.inspectPacket(whole, 2000);
      assert.deepEqual(wire.open(), [`${pbx.address} 20000-20001`]);
    });

    it('a segment in the stream of an inside host does not stop its reading', () => {
      const wire = createWire();
      const from = { ...pbx, port: 40000 };
      const invite = sip('INVITE', { body: sdp(pbx.address, [20000]) });
      wire.packet(tcpPacket(from, attacker, { seq: 100, flags: 2 }), LAN);
      wire.packet(tcpPacket(from, attacker, { seq: 101, payload: 'GET / HTTP/1.1\r\n\r\n' }), WAN);
      wire.packet(tcpPacket(from, attacker, { seq: 101, flags: 4 }), WAN);
      wire.packet(tcpPacket(from, attacker, { seq: 101, payload: invite }), LAN);
      assert.equal(wire.open().length > 0, true);
    });

    it('many of them are counted, and told once a minute', () => {
      const wire = createWire();
      for (let count = 0; count < 50; count++)
        wire.send(pbx, phone, sip('INVITE', { callId: `${count}` }), WAN);
      assert.equal(wire.refusals.length, 1);
      assert.equal(wire.inspector.stats.refusals.get('spoofed-inside'), 50);
    });
  });
}

it('a fragment from outside does not spoil a datagram of an inside host', () => {
  const wire = createWire();
  const { pbx, attacker } = families[0]!;
  const whole = udpPacket(pbx, attacker, sip('INVITE', { body: sdp(pbx.address, [20000]) }));
  const [first, second] = fragmentsOf(whole, 256);
  const forged = Buffer.from(second!);
  forged.fill(0x41, 20);
  wire.packet(first!, LAN);
  wire.packet(forged, WAN);
  wire.packet(second!, LAN);
  assert.equal(wire.open().length > 0, true);
});

/** Two fragments, the first with `size` bytes of the payload (RFC 791 2.3). */
function fragmentsOf(packet: Buffer, size: number): Buffer[] {
  const [head, payload] = [packet.subarray(0, 20), packet.subarray(20)];
  return [0, size].map((offset) => {
    const part = offset === 0 ? payload.subarray(0, size) : payload.subarray(size);
    const header = Buffer.from(head);
    header.writeUInt16BE(20 + part.length, 2);
    header.writeUInt16BE((offset === 0 ? 0x2000 : 0) | (offset / 8), 6);
    return Buffer.concat([header, part]);
  });
}
