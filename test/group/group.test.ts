import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { defaults } from '../../src/config/schema.ts';
import type { CallEntry } from '../../src/daemon/messages.ts';
import type { Told } from '../../src/daemon/peers/store.ts';
import { createUpkeep } from '../../src/daemon/peers/upkeep.ts';
import { createVersions } from '../../src/daemon/peers/versions.ts';
import { host, networks, sdp, sip } from '../scene.ts';
import { createFirewalls, type Member, MOST } from './firewalls.ts';
import { createShelf } from './memory-store.ts';

const phone = host('192.0.2.10');
const trunk = host('198.51.100.20');
const PORTS = ['192.0.2.10 4000-4001', '198.51.100.20 6000-6001'];

/** ms after which a store is tried again at the latest. */
const RETRY = 6000;

const there: Member[] = [];
afterEach(async () => {
  for (const member of there.splice(0)) await member.end();
});

function setUp(count = 2, changes: Parameters<ReturnType<typeof createFirewalls>['member']>[1] = {}) {
  const shelf = createShelf();
  const firewalls = createFirewalls(shelf);
  const member: typeof firewalls.member = (...given) => {
    const one = firewalls.member(...given);
    there.push(one);
    return one;
  };
  const members = Array.from({ length: count }, (_, index) => member(index + 1, changes));
  return { shelf, ...firewalls, member, members };
}

/** Two that have found each other. */
async function setUpTwo(changes: Parameters<typeof setUp>[1] = {}) {
  const scene = setUp(2, changes);
  await scene.settle();
  const [one, two] = scene.members as [Member, Member];
  return { ...scene, one, two };
}

const invite = (options = {}) => sip('INVITE', { body: sdp(phone.address, [4000]), ...options });
const ok = (options = {}) => sip('200 INVITE', { to: 'b', body: sdp(trunk.address, [6000]), ...options });

/** A call of the phone, signalled through these firewalls. */
function establish(member: Member): void {
  member.send(phone, trunk, invite());
  member.send(trunk, phone, ok());
  member.send(phone, trunk, sip('ACK', { to: 'b' }));
}

function entryOf(key: string): CallEntry {
  const stamp = { generation: 0, phase: 0, version: 1, machine: '00000001' } as const;
  return { key, endedAt: null, text: '{}', stamp };
}

/** Upkeep of no calls, and what it tells of media. */
function upkeepAlone() {
  const told: string[][] = [];
  const tell = async (one: Told) => void told.push(one.what === 'media' ? [...one.pinholes] : []);
  const versions = { underWay: () => [], tidy: () => {}, lost: () => {} };
  const upkeep = createUpkeep({ tell, touch: async () => [] }, versions, '0000000a', () => {});
  return { upkeep, told };
}

function hangUp(member: Member): void {
  member.send(phone, trunk, sip('BYE', { to: 'b', cseq: 2 }));
  member.send(trunk, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
}

/** Two with a call whose media passes the second alone, which is cut off until the first has closed it for silence. */
async function setUpHalfSilent() {
  const scene = await setUpTwo();
  const { one, two, shelf, settle, pass } = scene;
  establish(one);
  await settle();
  shelf.cut.add(two.store);
  for (let seconds = 0; seconds < defaults().timers.mediaIdle / 1000 + 30; seconds += 30) {
    two.media();
    await pass(30_000);
  }
  assert.deepEqual([one.open(), two.open()], [[], PORTS], 'it sees none, and nobody tells it');
  return scene;
}

describe('firewalls that share their calls', () => {
  it('hold the pinholes of all of them, and close them together', async () => {
    const { members, settle } = setUp(3);
    await settle();
    const [one, two, three] = members as [Member, Member, Member];
    establish(one);
    await settle();
    for (const member of members) assert.deepEqual(member.open(), PORTS, member.machine);
    assert.deepEqual([two.calls(), three.calls()], [['confirmed'], ['confirmed']]);
    hangUp(two);
    await settle();
    for (const member of members) assert.deepEqual(member.open(), [], member.machine);
    for (const member of members) assert.deepEqual(member.calls(), ['ended']);
  });

  it('say of each call which of them had to do with it last', async () => {
    const { one, two, shelf, members, settle } = await setUpTwo();
    establish(one);
    await settle();
    const [legId = ''] = shelf.calls.keys();
    for (const { group } of members) assert.equal(group.ownerOf(legId), 'fw1');
    two.send(phone, trunk, invite({ to: 'b', cseq: 2, body: sdp(phone.address, [4400]) }));
    await settle();
    for (const { group } of members) {
      assert.equal(group.ownerOf(legId), 'fw2');
      assert.deepEqual(
        group.status().owners.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
        [
          { name: 'fw1', calls: 0 },
          { name: 'fw2', calls: 1 },
        ],
      );
    }
    await two.end();
    await settle();
    assert.equal(one.group.ownerOf(legId), 'fw2', 'until another has to do with it');
    assert.equal(one.group.ownerOf('0000000000000000'), null);
  });

  it('take a call over where it is: a port moves, and another hangs up', async () => {
    const { one, two, settle } = await setUpTwo();
    establish(one);
    await settle();
    await one.end();
    two.send(phone, trunk, invite({ to: 'b', cseq: 2, body: sdp(phone.address, [4400]) }));
    two.send(trunk, phone, ok({ cseq: 2 }));
    two.send(phone, trunk, sip('ACK', { to: 'b', cseq: 2 }));
    assert.ok(two.open().includes('192.0.2.10 4400-4401'));
    hangUp(two);
    await settle();
    assert.deepEqual(two.open(), []);
  });

  it('read a connection on that another of them has read', async () => {
    const { one, two, settle } = await setUpTwo();
    const [SYN, SYN_ACK] = [0x02, 0x12];
    const overTcp = (text: string) => text.replace('SIP/2.0/UDP', 'SIP/2.0/TCP');
    one.segment(phone, trunk, { seq: 100, flags: SYN });
    one.segment(trunk, phone, { seq: 500, ack: 101, flags: SYN_ACK });
    const ringing = overTcp(sip('180 INVITE', { to: 'b' }));
    one.segment(phone, trunk, { seq: 101, ack: 501, payload: overTcp(invite()) });
    one.segment(trunk, phone, { seq: 501, payload: ringing });
    await settle();
    two.segment(trunk, phone, { seq: 501 + ringing.length, payload: overTcp(ok()) });
    await settle();
    for (const member of [one, two]) assert.deepEqual(member.open(), PORTS, member.machine);
  });

  it('give whoever joins what there is, and get what it had', async () => {
    const { shelf, member, members, settle } = setUp(1);
    await settle();
    establish(members[0]!);
    await settle();
    const late = member(2);
    late.send(phone, trunk, invite({ callId: 'other', from: 'x', body: sdp(phone.address, [4800]) }));
    await settle();
    assert.deepEqual(
      late.open().filter((one) => !one.includes('48')),
      PORTS,
    );
    assert.ok(members[0]!.open().includes('192.0.2.10 4800-4801'));
    assert.equal(shelf.calls.size, 2);
  });

  it('go on alone while the store is away, say so, and agree afterwards', async () => {
    const { one, two, shelf, settle, pass } = await setUpTwo();
    establish(one);
    await settle();
    shelf.away = true;
    await settle();
    assert.equal(two.group.status().state, 'away');
    assert.match(two.log.join('\n'), /away, going on alone: connection refused/);
    two.send(phone, trunk, invite({ callId: 'meanwhile', from: 'x', body: sdp(phone.address, [4800]) }));
    hangUp(one);
    await settle();
    assert.deepEqual(one.open(), []);
    assert.deepEqual(
      two.open().filter((port) => !port.includes('48')),
      PORTS,
      'nobody has told it of the end',
    );
    shelf.away = false;
    await pass(RETRY);
    assert.deepEqual(one.open(), two.open());
    assert.deepEqual(one.open(), ['192.0.2.10 4800-4801']);
  });

  it('close nothing because the store was emptied, and fill it again', async () => {
    const { shelf, members, settle, pass } = setUp();
    await settle();
    establish(members[0]!);
    await settle();
    shelf.away = true;
    await settle();
    shelf.flush();
    shelf.away = false;
    await pass(RETRY);
    for (const member of members) assert.deepEqual(member.open(), PORTS);
    assert.equal(shelf.calls.size, 1);
    hangUp(members[1]!);
    await settle();
    for (const member of members) assert.deepEqual(member.open(), []);
  });

  it('notice that the store was emptied without having been away', async () => {
    const { shelf, members, settle, pass } = setUp();
    await settle();
    establish(members[0]!);
    await settle();
    shelf.flush();
    await pass(RETRY);
    assert.equal(shelf.calls.size, 1);
    assert.match(members[0]!.log.join('\n'), /it was emptied/);
    for (const member of members) assert.deepEqual(member.open(), PORTS);
  });

  it('agree on the end when each half saw another one', async () => {
    const { one, two, shelf, members, settle, pass } = await setUpTwo();
    establish(one);
    await settle();
    for (const member of members) shelf.cut.add(member.store);
    await settle();
    hangUp(one);
    two.send(phone, trunk, invite({ to: 'b', cseq: 2, body: sdp(phone.address, [4400]) }));
    await settle();
    shelf.cut.clear();
    await pass(RETRY);
    for (const member of members) {
      assert.deepEqual(member.open(), [], member.machine);
      assert.deepEqual(member.calls(), ['ended']);
    }
  });

  it('believe a journal more than an older record of the store', async () => {
    const { one, two, shelf, member, settle, pass } = await setUpTwo();
    establish(one);
    await settle();
    shelf.away = true;
    await settle();
    one.send(phone, trunk, invite({ to: 'b', cseq: 2, body: sdp(phone.address, [4400]) }));
    one.send(trunk, phone, ok({ cseq: 2 }));
    await settle();
    await one.kill();
    shelf.away = false;
    await pass(RETRY);
    const again = member(1, {}, { journal: one.journal });
    await pass(RETRY);
    for (const { machine, open } of [again, two]) {
      assert.ok(open().includes('192.0.2.10 4400-4401'), machine);
    }
  });

  it('know what was over before a start, though the store has it as it was', async () => {
    const { one, two, shelf, member, settle, pass } = await setUpTwo();
    establish(one);
    await settle();
    shelf.away = true;
    await settle();
    hangUp(one);
    await pass(defaults().timers.retransmissionMemory + 1000);
    await one.kill();
    const again = member(1, {}, { journal: one.journal });
    assert.deepEqual(again.open(), []);
    shelf.away = false;
    await pass(RETRY);
    assert.deepEqual([again.open(), two.open()], [[], []]);
  });

  it('lose nothing by a store that comes back as it was before', async () => {
    const { one, two, shelf, members, settle, pass } = await setUpTwo();
    establish(one);
    one.send(phone, trunk, invite({ callId: 'other', from: 'x', body: sdp(phone.address, [4800]) }));
    await settle();
    const restore = shelf.snapshot();
    hangUp(two);
    one.send(trunk, phone, ok({ callId: 'other', from: 'x' }));
    await settle();
    const stamps = () => [...shelf.calls.values()].map(({ stamp }) => stamp);
    const before = stamps();
    restore();
    assert.notDeepEqual(stamps(), before);
    await pass(RETRY);
    assert.deepEqual(stamps(), before);
    for (const member of members) assert.deepEqual(member.calls(), ['confirmed', 'ended']);
    assert.deepEqual(one.open(), two.open());
  });

  it('agree on an end of which the store, emptied since, knows nothing', async () => {
    const { one, two, shelf, settle, pass } = await setUpTwo();
    establish(one);
    await settle();
    shelf.cut.add(two.store);
    hangUp(one);
    await pass(defaults().timers.retransmissionMemory + 1000);
    shelf.flush();
    shelf.cut.clear();
    await pass(RETRY);
    assert.deepEqual([one.open(), two.open()], [[], []]);
    assert.deepEqual(
      [...shelf.calls.values()].map(({ stamp }) => stamp.phase),
      [2],
    );
  });

  it('do not end a call because a wall clock is wrong', async () => {
    const { one, two, settle } = await setUpTwo();
    two.setWall(24 * 3_600_000);
    establish(one);
    await settle();
    assert.deepEqual([one.calls(), two.calls()], [['confirmed'], ['confirmed']]);
  });

  it('do not end a call that one has given up and another has seen answered', async () => {
    const { one, two, shelf, members, settle, pass } = await setUpTwo();
    one.send(phone, trunk, invite());
    one.send(trunk, phone, sip('180 INVITE', { to: 'b' }));
    await settle();
    shelf.away = true;
    await settle();
    two.send(trunk, phone, ok());
    two.send(phone, trunk, sip('ACK', { to: 'b' }));
    await pass(defaults().timers.ringing + 10_000);
    assert.deepEqual(one.calls(), ['ended'], 'it has seen nothing of the answer');
    shelf.away = false;
    await pass(RETRY);
    for (const member of members) {
      assert.deepEqual(member.calls(), ['confirmed'], member.machine);
      assert.deepEqual(member.open(), PORTS, member.machine);
    }
    hangUp(one);
    await settle();
    for (const member of members) assert.deepEqual(member.open(), []);
  });

  it('agree on the end of a call that nobody answered', async () => {
    const { one, two, pass } = await setUpTwo();
    one.send(phone, trunk, invite());
    one.send(trunk, phone, sip('180 INVITE', { to: 'b' }));
    await pass(defaults().timers.ringing + 10_000);
    assert.deepEqual([one.calls(), two.calls()], [['ended'], ['ended']]);
    assert.deepEqual([one.open(), two.open()], [[], []]);
    const { own, others } = two.group.status();
    assert.equal(own + others, 0, 'and keep none of it in the store');
  });

  it('take no call for silent whose media another of them sees', async () => {
    const { one, two, settle, pass } = await setUpTwo();
    establish(one);
    await settle();
    for (let minutes = 0; minutes < 8; minutes++) {
      two.media();
      await pass(60_000);
    }
    assert.deepEqual(one.open(), PORTS);
    assert.deepEqual(two.open(), PORTS);
    await pass(6 * 60_000);
    assert.deepEqual([one.open(), two.open()], [[], []], 'silent everywhere');
  });

  it('open no more of what others write than their own settings let', async () => {
    const { members, member, settle } = setUp(1);
    const narrow = member(2, { inside: networks('198.51.100.0/24') });
    await settle();
    establish(members[0]!);
    await settle();
    assert.deepEqual(members[0]!.open(), PORTS);
    assert.deepEqual(narrow.open(), PORTS.slice(1), 'the phone is not inside there');
  });

  it('refuse what is no record by name, and go on', async () => {
    const { shelf, members, settle } = setUp(1);
    await settle();
    const stamp = { generation: 0, phase: 0, version: 1, machine: '0000000f' } as const;
    const forger = shelf.connect();
    await forger.write([
      { name: 'aaaaaaaaaaaaaaaa', stamp, text: '{"pinholed":1,"machine":"0000000f"}', wait: '' },
      { name: 'bbbbbbbbbbbbbbbb', stamp, text: 'hello', wait: '' },
      { name: 'cccccccccccccccc', stamp, text: '{"pinholed":99}', wait: '' },
    ]);
    await settle();
    const log = members[0]!.log.join('\n');
    assert.match(log, /not taken up: it is no record/);
    assert.match(log, /it is of version 99, and only/);
    assert.equal(members[0]!.group.status().refused, 3);
    establish(members[0]!);
    assert.deepEqual(members[0]!.open(), PORTS);
  });

  it('know no more calls than there can be, whatever is in the store', async () => {
    const { shelf, members, settle } = setUp(1);
    await settle();
    const stamp = { generation: 0, phase: 0, version: 1, machine: '0000000f' } as const;
    const names = Array.from({ length: 5 * MOST }, (_, index) => index.toString(16).padStart(16, '0'));
    await shelf.connect().write(names.map((name) => ({ name, stamp, text: 'x', wait: '' })));
    await settle();
    assert.equal(members[0]!.group.status().others, 4 * MOST);
    assert.equal(members[0]!.group.status().refused, 5 * MOST);
  });

  it('keep nothing of the media that passes while the store is away', async () => {
    const { upkeep, told } = upkeepAlone();
    upkeep.seen([['before', 'came']]);
    upkeep.alone(0);
    upkeep.seen([['after', 'came']]);
    await upkeep.turn(1, []);
    assert.deepEqual(told, [['cafter']]);
  });

  it('tell of media each way, and of what begins at once', async () => {
    const { upkeep, told } = upkeepAlone();
    await upkeep.turn(0, []);
    upkeep.seen([
      ['one', 'came'],
      ['one', 'sent'],
    ]);
    await upkeep.turn(2000, []);
    assert.deepEqual(told.splice(0), [['cone', 'sone']]);
    upkeep.seen([['one', 'came']]);
    await upkeep.turn(4000, []);
    assert.deepEqual(told.splice(0), [], 'it goes on, as they know');
    await upkeep.turn(10_000, []);
    assert.deepEqual(told.splice(0), [['cone']]);
  });

  it('keep their calls in the store a part at a time, and leave none out where a part failed', async () => {
    const names = Array.from({ length: 500 }, (_, index) => index.toString(16).padStart(16, '0'));
    const touched: string[] = [];
    let isAway = false;
    async function touch(some: readonly string[]): Promise<string[]> {
      if (isAway) throw new Error('away');
      touched.push(...some);
      return [];
    }
    const underWay = () => names.map((name) => [name, '0000000a'] as const);
    const versions = { underWay, tidy: () => {}, lost: () => {} };
    const { turn } = createUpkeep({ tell: async () => {}, touch }, versions, '0000000a', () => {});
    await turn(0, []);
    await turn(120_000, []);
    assert.deepEqual(touched, []);
    await turn(150_000, []);
    assert.ok(touched.length >= names.length / 2 && touched.length < names.length, `${touched.length}`);
    isAway = true;
    await assert.rejects(turn(180_000, []));
    isAway = false;
    await turn(181_000, []);
    assert.deepEqual(touched, names);
    await turn(239_000, []);
    assert.equal(touched.length, names.length, 'until the next round');
  });

  it('miss no audio that passes another of them, and miss what passes none', async () => {
    const peersStore = { ...defaults().peersStore, url: 'redis://192.0.2.99' };
    const { one, two, pass } = await setUpTwo({ peersStore });
    establish(one);
    for (let seconds = 0; seconds < 60; seconds += 2) {
      two.media();
      one.counted();
      await pass(2000);
    }
    assert.equal(one.inspector.withoutAudio, 0);
    for (let seconds = 0; seconds < 30; seconds += 2) {
      one.counted();
      await pass(2000);
    }
    assert.equal(one.inspector.withoutAudio, 1);
  });

  it('keep a candidate whose media passes another of them', async () => {
    const { one, two, pass } = await setUpTwo();
    const candidate = 'candidate:1 1 UDP 1 192.0.2.10 4010 typ host';
    one.send(phone, trunk, invite({ body: sdp(phone.address, [{ port: 4000, attributes: [candidate] }]) }));
    const answer = 'candidate:1 1 UDP 1 198.51.100.20 6000 typ host';
    one.send(trunk, phone, ok({ body: sdp(trunk.address, [{ port: 6000, attributes: [answer] }]) }));
    one.send(phone, trunk, sip('ACK', { to: 'b' }));
    await pass(defaults().timers.iceUnused - 5000);
    two.media();
    await pass(20_000);
    for (const { machine, open } of [one, two]) assert.ok(open().includes('192.0.2.10 4010-4010'), machine);
  });

  it('open what one had closed for silence once it hears that media passes another', async () => {
    const { one, two, shelf, settle, pass } = await setUpHalfSilent();
    shelf.cut.clear();
    await pass(RETRY);
    two.media();
    await pass(12_000);
    two.media();
    await pass(12_000);
    assert.deepEqual([one.open(), two.open()], [PORTS, PORTS]);
    hangUp(one);
    await settle();
    assert.deepEqual([one.open(), two.open()], [[], []]);
  });

  it('take no call for silent because another writes that it is, where media passes here', async () => {
    const { one, two, shelf } = await setUpHalfSilent();
    const [legId = ''] = shelf.calls.keys();
    const silent = structuredClone(one.inspector.dump(legId)!);
    assert.equal(silent.call.idle, true);
    const { change } = two.inspector.share([silent], shelf.clock());
    assert.equal(change, null);
    assert.equal(two.inspector.call(legId)!.idle, false);
  });

  it('take no call for silent that is heard of late: it may have had its media meanwhile', async () => {
    const { member, members, settle, pass } = setUp(1);
    await settle();
    const one = members[0]!;
    establish(one);
    const { mediaIdle } = defaults().timers;
    for (let passed = 0; passed < mediaIdle + 60_000; passed += 60_000) {
      one.media();
      await pass(60_000);
    }
    const late = member(2);
    await pass(20_000);
    assert.deepEqual(late.open(), PORTS);
  });

  it('write nothing that was overtaken by what the store has', () => {
    const versions = createVersions(
      () => MOST,
      () => 0,
    );
    const key = '0123456789abcdef';
    const stamp = { generation: 0, phase: 0, version: 3, machine: '00000002' } as const;
    versions.remote([{ name: key, stamp, text: '{}', age: 0 }]);
    versions.local([entryOf(key)]);
    assert.equal(versions.waiting, 0);
    assert.equal(versions.isOther({ name: key, stamp }), false, 'nor taken for what there is');
  });

  it('leave a call as it is where what is on its way is of before', async () => {
    const { one, two, shelf, member, settle, skip } = await setUpTwo();
    establish(one);
    await settle();
    const three = member(3, {}, { manual: true });
    await settle();
    assert.deepEqual(three.open(), PORTS);
    three.send(phone, trunk, sip('BYE', { to: 'b', cseq: 3 }));
    three.send(trunk, phone, sip('200 BYE', { to: 'b', cseq: 3 }));
    assert.deepEqual(three.open(), []);
    two.send(phone, trunk, invite({ to: 'b', cseq: 2, body: sdp(phone.address, [4400]) }));
    const [kept] = shelf.calls.values();
    // It is told to take up the re-INVITE while nobody but its own data path has heard of the end.
    let isTold = false;
    for (let turns = 0; turns < 50; turns++) {
      skip(10);
      two.turn();
      two.deliver();
      await new Promise((resolve) => setImmediate(resolve));
      isTold ||= three.turn() && shelf.calls.get(kept!.name) !== kept;
      assert.deepEqual([three.open(), three.calls()], [[], ['ended']]);
    }
    assert.ok(isTold);
    await settle();
    for (const { open, calls } of [one, two, three]) assert.deepEqual([open(), calls()], [[], ['ended']]);
  });

  it('do not write as one where a machine was cloned: the second goes on alone and says why', async () => {
    const { one, member, shelf, settle, pass } = await setUpTwo();
    establish(one);
    await settle();
    const clone = member(1, {}, { boot: 'boot of the clone' });
    clone.send(phone, trunk, invite({ callId: 'other', from: 'x', body: sdp(phone.address, [4800]) }));
    await pass(RETRY);
    assert.equal(clone.group.status().state, 'away');
    assert.match(clone.group.status().why ?? '', /another firewall is there as fw1 \(00000001\)/);
    assert.deepEqual(clone.open(), ['192.0.2.10 4800-4801'], 'its own calls go on');
    assert.equal(shelf.calls.size, 1, 'nothing of it is written');
    assert.equal(one.group.status().state, 'joined');
    await one.end();
    await pass(RETRY);
    assert.equal(clone.group.status().state, 'joined');
    assert.equal(shelf.calls.size, 2);
  });

  it('tell which of two clones is there where nothing but their starts tells them apart', async () => {
    const { one, two, member, settle, pass } = await setUpTwo();
    const clone = member(1, {}, { boot: null });
    await settle();
    assert.equal(clone.group.status().state, 'joined', 'it may be a start of the same daemon');
    await pass(2 * RETRY);
    assert.equal(one.group.status().state, 'away');
    assert.match(one.log.join('\n'), /another firewall is there as fw1/);
    assert.equal(clone.group.status().state, 'joined');
    assert.equal(two.group.status().members.length, 2);
  });

  it('join at once after a start that nobody was told of', async () => {
    const { one, shelf, member, settle } = await setUpTwo();
    await one.kill();
    assert.ok(await shelf.connect().member(one.machine), 'it counts as there');
    const again = member(1);
    await settle();
    assert.equal(again.group.status().state, 'joined');
  });

  it('say that two have one name, and tell them apart', async () => {
    const { one, two, member, settle, pass } = await setUpTwo();
    const three = member(3, {}, { name: 'fw2' });
    await settle();
    await pass(RETRY);
    for (const { log } of [one, two, three]) assert.match(log.join('\n'), /is not the only one of its name/);
    const names = (of: Member) =>
      of.group
        .status()
        .owners.map(({ name }) => name)
        .sort();
    assert.deepEqual(names(one), ['fw1', 'fw2 (00000002)', 'fw2 (00000003)']);
    assert.deepEqual(names(two), ['fw1', 'fw2', 'fw2 (00000003)']);
  });

  it('write once more what the store has thrown away', async () => {
    const { one, shelf, settle, pass } = await setUpTwo();
    establish(one);
    await settle();
    const [name = ''] = shelf.calls.keys();
    shelf.evict(name);
    for (let seconds = 0; seconds < 300; seconds += 10) {
      one.media();
      await pass(10_000);
    }
    assert.ok(shelf.calls.has(name));
    assert.deepEqual(one.open(), PORTS);
  });

  it('hand over: everybody else has everything', async () => {
    const { members, settle } = setUp();
    await settle();
    establish(members[0]!);
    const handed = members[0]!.group.handOver(10_000);
    await settle();
    assert.equal(await handed, true);
    assert.deepEqual(members[1]!.open(), PORTS);
  });
});

describe('a message that waits for other firewalls', () => {
  const peersStore = { ...defaults().peersStore, confirm: 'peers' as const, confirmTimeout: 5000 };

  it('goes on once they have its pinholes, and in its order; others pass meanwhile', async () => {
    const { one, two, settle } = await setUpTwo({ peersStore });
    one.send(phone, trunk, invite());
    one.send(phone, trunk, invite());
    one.send(phone, trunk, sip('OPTIONS', { callId: 'other', from: 'z' }));
    assert.deepEqual(one.released, ['OPTIONS sip:bob@example.com SIP/2.0']);
    assert.deepEqual(two.open(), []);
    await settle();
    assert.deepEqual(two.open(), PORTS.slice(0, 1));
    assert.equal(one.released.length, 3);
    two.send(trunk, phone, ok());
    assert.deepEqual(two.released, [], 'the answer that came the other way waits, too');
    await settle();
    assert.deepEqual(one.open(), PORTS);
    assert.deepEqual(two.released, ['SIP/2.0 200 Reason']);
  });

  it('waits as a request, too, that the answer to it finds its call wherever it comes', async () => {
    const { one, two, settle } = await setUpTwo({ peersStore });
    one.send(phone, trunk, sip('INVITE'));
    assert.deepEqual(one.released, [], 'it opens nothing: its offer comes with the answer');
    await settle();
    two.send(trunk, phone, ok());
    await settle();
    assert.deepEqual([one.open(), two.open()], [[PORTS[1]], [PORTS[1]]]);
    one.send(phone, trunk, sip('ACK', { to: 'b', body: sdp(phone.address, [4000]) }));
    await settle();
    assert.deepEqual(two.open(), PORTS);
    one.send(phone, trunk, sip('BYE', { to: 'b', cseq: 2 }));
    assert.equal(one.released.length, 2);
    await settle();
    assert.equal(one.released.length, 3);
    two.send(trunk, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
    await settle();
    assert.deepEqual([one.open(), two.open()], [[], []]);
  });

  it('waits from the reload on that says so, and no more after the next', async () => {
    const { members, settle } = setUp();
    await settle();
    const one = members[0]!;
    one.reload({ peersStore });
    await settle();
    one.send(phone, trunk, invite());
    assert.deepEqual(one.released, []);
    one.reload({ peersStore: { ...peersStore, confirm: 'none' } });
    one.send(phone, trunk, sip('OPTIONS', { callId: 'other', from: 'z' }));
    await settle();
    one.send(trunk, phone, ok());
    assert.equal(one.released.length, 3);
  });

  it('waits also where what it led to is on its way to the store already', async () => {
    const { one, two, shelf, settle } = await setUpTwo({ peersStore });
    const write = one.store.write;
    let arrive = () => {};
    one.store.write = async (records) => {
      await new Promise<void>((resolve) => {
        arrive = resolve;
      });
      await write(records);
    };
    one.group.entries([entryOf('0123456789abcdef')]);
    await settle();
    one.group.report({ type: 'waiting', wait: 7, calls: ['0123456789abcdef'] });
    await settle();
    assert.deepEqual(one.confirmed, [], 'not before the other has it');
    one.store.write = write;
    arrive();
    await settle();
    assert.deepEqual(one.confirmed, [7]);
    assert.equal(shelf.calls.size, 1);
    assert.equal(two.group.status().others, 1);
  });

  it('is told of before others wait for it, however much else there is to tell', async () => {
    const { member, members, settle } = setUp(1);
    const busy = member(2, { peersStore }, { backlog: () => 100 });
    await settle();
    busy.send(phone, trunk, invite());
    await settle();
    assert.deepEqual(members[0]!.open(), PORTS.slice(0, 1));
    assert.deepEqual(busy.released, ['INVITE sip:bob@example.com SIP/2.0']);
  });

  it('waits no longer than it may, and not at all without the store or without others', async () => {
    const { one, two, shelf, settle, pass } = await setUpTwo({ peersStore });
    shelf.cut.add(two.store);
    one.send(phone, trunk, invite());
    assert.deepEqual(one.released, []);
    await pass(5_100);
    assert.deepEqual(one.released, ['INVITE sip:bob@example.com SIP/2.0']);
    shelf.away = true;
    await settle();
    one.send(trunk, phone, ok());
    assert.equal(one.released.length, 2);
  });
});
