import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaults } from '../../src/config/schema.ts';
import { type CallRecord, createInspector, type Inspector } from '../../src/inspector.ts';
import { udpPacket } from '../packets.ts';
import { type Host, host, networks, sdp, settingsWith, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const proxy = host('192.0.2.5');
const trunk = host('198.51.100.20');
const settings = settingsWith({ inside: networks('192.0.2.0/24') });

/** A firewall that counts its legs from `firstCount`, at a time that the caller tells. */
function firewall(firstCount: number) {
  const inspector = createInspector(() => settings, null, null, firstCount);
  return {
    inspector,
    send: (from: Host, to: Host, text: string, now = 1000) =>
      inspector.inspect(udpPacket(from, to, text), now, null),
  };
}

/** As it would be read from what is written of it now. */
function copyOf(inspector: Inspector, legId: string): CallRecord {
  return structuredClone(inspector.dump(legId)!);
}

function legIds(inspector: Inspector): string[] {
  return [...inspector.calls()].map(({ legId }) => legId);
}

describe('a call that is taken up from another firewall', () => {
  it('has what was announced for any leg of its Call-ID, whichever is heard of first', () => {
    const [one, two] = [firewall(0x1000), firewall(0x2000)];
    one.send(trunk, proxy, sip('INVITE', { branch: 'z9hG4bK1' }));
    const first = copyOf(one.inspector, legIds(one.inspector)[0]!);
    const body = sdp('192.0.2.66', [4000]);
    one.send(proxy, phone, sip('INVITE', { branch: 'z9hG4bK2', body }));
    const second = copyOf(one.inspector, legIds(one.inspector)[1]!);
    const named = [...second.call.announced];
    assert.deepEqual([first.call.announced.length, named.length], [0, 1]);
    two.inspector.share([first], 1000);
    two.inspector.share([second], 1000);
    for (const legId of legIds(two.inspector)) {
      assert.deepEqual(two.inspector.call(legId)!.announced, named);
    }
  });

  it('is no other that has its name: neither its Call-ID nor its parties change', () => {
    const { inspector, send } = firewall(0x1000);
    send(phone, trunk, sip('INVITE', { body: sdp(phone.address, [4000]) }));
    const [legId] = legIds(inspector) as [string];
    const known = copyOf(inspector, legId);
    const open = [...inspector.pinholes()].map(({ id }) => id);
    for (const change of [
      { callId: 'another' },
      { parties: [proxy.address, trunk.address] },
      { parties: [trunk.address, phone.address] },
    ] as const) {
      const theirs = { ...known, call: { ...structuredClone(known.call), ...change }, held: [] };
      assert.equal(inspector.share([theirs], 1000).refused, 1);
      assert.deepEqual(inspector.call(legId)!.parties, [phone.address, trunk.address]);
      assert.deepEqual(
        [...inspector.pinholes()].map(({ id }) => id),
        open,
      );
    }
    assert.equal(inspector.share([known], 1000).refused, 0);
  });

  it('closes its pinholes where it is over, also when it was silent there and media passes here', () => {
    const [one, two] = [firewall(0x1000), firewall(0x2000)];
    one.send(phone, trunk, sip('INVITE', { body: sdp(phone.address, [4000]) }));
    one.send(trunk, phone, sip('200 INVITE', { to: 'b', body: sdp(trunk.address, [5000]) }));
    one.send(phone, trunk, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    const [legId] = legIds(one.inspector) as [string];
    two.inspector.share([copyOf(one.inspector, legId)], 1000);
    const [pinhole] = two.inspector.pinholes();
    let now = 1000;
    for (const end = now + settings.timers.mediaIdle + 30_000; now < end; now += 30_000) {
      two.inspector.traffic(pinhole!.id, now);
      two.inspector.tick(now);
    }
    one.inspector.tick(now);
    assert.deepEqual([one.inspector.call(legId)!.idle, two.inspector.sizes().pinholes], [true, 1]);
    one.send(trunk, phone, sip('BYE', { cseq: 2, from: 'b', to: 'a' }), now);
    one.send(phone, trunk, sip('200 BYE', { cseq: 2, from: 'b', to: 'a' }), now);
    const theirs = copyOf(one.inspector, legId);
    assert.equal(theirs.call.state, 'ended');
    two.inspector.share([theirs], now);
    two.inspector.tick(now + settings.timers.drain + 1);
    assert.equal(two.inspector.sizes().pinholes, 0);
  });

  it('is open again where media was counted after it was closed for silence, with others and without', () => {
    const { inspector, send } = firewall(0x1000);
    send(phone, trunk, sip('INVITE', { body: sdp(phone.address, [4000]) }));
    send(trunk, phone, sip('200 INVITE', { to: 'b', body: sdp(trunk.address, [5000]) }));
    send(phone, trunk, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    const [pinhole] = inspector.pinholes();
    const now = 1000 + settings.timers.mediaIdle;
    inspector.tick(now);
    assert.equal(inspector.sizes().pinholes, 0);
    inspector.traffic(pinhole!.id, now + 1);
    inspector.tick(now + 1);
    assert.deepEqual(
      [...inspector.pinholes()].map(({ id }) => id),
      [pinhole!.id],
    );
  });

  it('comes after what was named here in its Call-ID before', () => {
    const [one, two] = [firewall(0x1000), firewall(0x2000)];
    two.send(trunk, proxy, sip('UPDATE', { to: 'b', body: sdp('192.0.2.66', [4000]) }));
    one.send(proxy, phone, sip('INVITE', { body: sdp('192.0.2.66', [4000]) }));
    const [legId] = legIds(one.inspector);
    two.inspector.share([copyOf(one.inspector, legId!)], 1000);
    const named = two.inspector.call(legId!)!.announced;
    assert.deepEqual(
      named.map(({ address, outside }) => [address, outside]),
      [['192.0.2.66', true]],
      'a stranger named it first',
    );
  });

  it('gives its name to no other leg of its Call-ID', () => {
    const [one, again] = [firewall(0x1000), firewall(0x1000)];
    one.send(trunk, phone, sip('INVITE', { branch: 'z9hG4bK1' }));
    const [legId] = legIds(one.inspector);
    again.inspector.share([copyOf(one.inspector, legId!)], 1000);
    again.send(proxy, phone, sip('INVITE', { branch: 'z9hG4bK2', from: 'x' }));
    assert.equal(new Set(legIds(again.inspector)).size, 2);
  });

  it('keeps a candidate that had its media here, or there', () => {
    const [one, two] = [firewall(0x1000), firewall(0x2000)];
    const candidate = (port: number) => `candidate:1 1 UDP 1 192.0.2.10 ${port} typ host`;
    const offer = sdp(phone.address, [{ port: 4000, attributes: [candidate(4000), candidate(4010)] }]);
    const answer = sdp(trunk.address, [
      { port: 6000, attributes: ['candidate:1 1 UDP 1 198.51.100.20 6000 typ host'] },
    ]);
    one.send(phone, trunk, sip('INVITE', { body: offer }));
    one.send(trunk, phone, sip('200 INVITE', { to: 'b', body: answer }));
    one.send(phone, trunk, sip('ACK', { to: 'b' }));
    const [legId] = legIds(one.inspector) as [string];
    const before = copyOf(one.inspector, legId);
    const onTrial = before.held.filter(({ reason }) => reason === 'unused-candidate');
    assert.ok(onTrial.length > 0);
    two.inspector.share([before], 1000);
    for (const { pinhole } of onTrial) two.inspector.traffic(pinhole.id, 2000);
    two.inspector.share([copyOf(one.inspector, legId)], 3000);
    two.inspector.tick(3000 + 2 * defaults().timers.iceUnused);
    const open = () => [...two.inspector.pinholes()].map(({ id }) => id);
    for (const { pinhole } of onTrial) assert.ok(open().includes(pinhole.id));
  });
});

describe('a call that is taken up long after it last said anything', () => {
  const { mediaIdle } = defaults().timers;
  const later = 1000 + 2 * mediaIdle;

  for (const [from, takeUp] of [
    ['a journal', (inspector: Inspector, record: CallRecord) => inspector.adopt([record], later)],
    ['another firewall', (inspector: Inspector, record: CallRecord) => inspector.share([record], later)],
  ] as const) {
    it(`from ${from} is silent only once there was time to see its media`, () => {
      const [one, two] = [firewall(0x1000), firewall(0x2000)];
      one.send(phone, trunk, sip('INVITE', { body: sdp(phone.address, [4000]) }));
      one.send(trunk, phone, sip('200 INVITE', { to: 'b', body: sdp(trunk.address, [6000]) }));
      one.send(phone, trunk, sip('ACK', { to: 'b' }));
      const [legId] = legIds(one.inspector) as [string];
      takeUp(two.inspector, copyOf(one.inspector, legId));
      const [pinhole] = [...two.inspector.pinholes()];
      assert.ok(pinhole, 'its media may have gone on all the time');
      two.inspector.traffic(pinhole.id, later + 5000);
      two.inspector.tick(later + 90_000);
      assert.equal(two.inspector.sizes().pinholes, 1);
      two.inspector.tick(later + 5001 + mediaIdle);
      assert.equal(two.inspector.sizes().pinholes, 0);
    });

    it(`from ${from} closes soon where there is none`, () => {
      const [one, two] = [firewall(0x1000), firewall(0x2000)];
      one.send(phone, trunk, sip('INVITE', { body: sdp(phone.address, [4000]) }));
      one.send(trunk, phone, sip('200 INVITE', { to: 'b', body: sdp(trunk.address, [6000]) }));
      const [legId] = legIds(one.inspector) as [string];
      takeUp(two.inspector, copyOf(one.inspector, legId));
      two.inspector.tick(later + 60_000);
      assert.equal(two.inspector.sizes().pinholes, 0);
    });
  }
});
