import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { defaults, type Settings } from '../../src/config/schema.ts';
import { isOver } from '../../src/daemon/peers/stamp.ts';
import { type Host, host, networks, sdp, sip } from '../scene.ts';
import { createFirewalls, type Member } from './firewalls.ts';
import { createShelf } from './memory-store.ts';

const phone = host('192.0.2.10', 40_000);
const trunk = host('198.51.100.20');
const [SYN, SYN_ACK, ACK, FIN] = [0x02, 0x12, 0x10, 0x11];
const INSIDE: Partial<Settings> = { inside: networks('192.0.2.0/24') };

const there: Member[] = [];
afterEach(async () => {
  for (const member of there.splice(0)) await member.end();
});

const HOUR = 3_600_000;

async function setUp(second: Partial<Settings> = INSIDE) {
  const shelf = createShelf();
  const firewalls = createFirewalls(shelf);
  const start = (number: number, changes = INSIDE): Member => {
    const one = firewalls.member(number, changes);
    there.push(one);
    return one;
  };
  const [one, two] = [start(1), start(2, second)];
  await firewalls.settle();
  /** Directions of connections that the store has as under way. */
  const underWay = () =>
    [...shelf.calls.values()].filter(({ name, stamp }) => name.startsWith('t') && !isOver(stamp)).length;
  return { ...firewalls, shelf, start, one, two, underWay };
}

/** A connection of the phone to the trunk with one call on it. What it says passes whichever firewall is named. */
function createConnection(from: Host = phone, to: Host = trunk, callId = 'call-1@example.com') {
  const next = new Map([
    [from, 0xffff_ff00],
    [to, 500],
  ]);
  let cseq = 0;

  function segment(by: Member, sender: Host, payload = '', flags = 0x18): void {
    const receiver = sender === from ? to : from;
    const [seq, ack] = [next.get(sender)!, next.get(receiver)!];
    by.segment(sender, receiver, { seq, ack: flags === SYN ? 0 : ack, flags, payload });
    next.set(sender, (seq + payload.length + Number((flags & 3) !== 0)) >>> 0);
  }

  const overTcp = (text: string) => text.replace('SIP/2.0/UDP', 'SIP/2.0/TCP');
  const say = (by: Member, sender: Host, text: string) => segment(by, sender, overTcp(text));
  return {
    segment,
    handshake(by: Member): void {
      segment(by, from, '', SYN);
      segment(by, to, '', SYN_ACK);
      segment(by, from, '', ACK);
    },
    /** An offer of this port, that is answered. Whether the port was open when the offer went on. */
    offers(by: Member, port: number): boolean {
      cseq++;
      const offer = { callId, cseq, to: cseq === 1 ? '' : 'b', body: sdp(from.address, [port]) };
      say(by, from, sip('INVITE', offer));
      const isOpen = by.open().includes(`${from.address} ${port}-${port + 1}`);
      say(by, to, sip('200 INVITE', { callId, cseq, to: 'b', body: sdp(to.address, [6000]) }));
      say(by, from, sip('ACK', { callId, cseq, to: 'b' }));
      return isOpen;
    },
    /** A request that is no call's. */
    keepAlive(by: Member): void {
      say(by, from, sip('OPTIONS', { callId: `${from.port}` }));
    },
    hangUp(by: Member): void {
      cseq++;
      say(by, from, sip('BYE', { callId, cseq, to: 'b' }));
      say(by, to, sip('200 BYE', { callId, cseq, to: 'b' }));
    },
    /** What the sender sends passes elsewhere. */
    pass(sender: Host, bytes: number): void {
      next.set(sender, (next.get(sender)! + bytes) >>> 0);
    },
  };
}

describe('a SIP connection over TCP between firewalls of a group', () => {
  it('is read at once wherever it comes, also back where it was before', async () => {
    const { one, two, settle } = await setUp();
    const connection = createConnection();
    connection.handshake(one);
    let port = 4000;
    for (const by of [one, one, two, two, one, one, two, one, two]) {
      assert.equal(connection.offers(by, port), true, `${port} by ${by.machine}`);
      await settle();
      port += 10;
    }
    assert.deepEqual(one.open(), two.open());
    assert.equal(one.group.status().own + one.group.status().others, 1, 'connections are no calls');
    connection.hangUp(one);
    await settle();
    for (const member of [one, two]) {
      assert.deepEqual(member.open(), []);
      assert.equal(member.faults(), 0);
    }
  });

  it('is read back where it was before though no whole message passed the other', async () => {
    const { one, two, settle } = await setUp();
    const connection = createConnection();
    connection.handshake(one);
    assert.equal(connection.offers(one, 4000), true);
    await settle();
    for (const sender of [phone, trunk]) connection.segment(two, sender, '\r\n\r\n');
    await settle();
    assert.equal(connection.offers(one, 4010), true);
  });

  it('goes on where it was when nothing of it passed the other', async () => {
    const { one, two, settle } = await setUp();
    const connection = createConnection();
    connection.handshake(one);
    assert.equal(connection.offers(one, 4000), true);
    await settle();
    const again = sip('INVITE', { to: 'b', cseq: 2, body: sdp(phone.address, [4010]) });
    const text = again.replace('SIP/2.0/UDP', 'SIP/2.0/TCP');
    connection.segment(one, phone, text.slice(0, 100));
    // A copy of what was read before comes to the other.
    two.segment(phone, trunk, { seq: 0xffff_ff01, ack: 501, payload: 'INVITE' });
    await settle();
    connection.segment(one, phone, text.slice(100));
    assert.ok(one.open().includes('192.0.2.10 4010-4011'));
  });

  it('is read by one that was older than it is, and did not read it, once another has', async () => {
    const { one, two, settle } = await setUp();
    const connection = createConnection();
    connection.segment(two, phone, sip('OPTIONS', { callId: 'older' }));
    assert.equal(two.inspector.stats.olderConnections, 1);
    const other = createConnection();
    other.handshake(one);
    assert.equal(other.offers(one, 4000), true);
    await settle();
    assert.equal(other.offers(two, 4010), true);
    assert.equal(two.inspector.stats.olderConnections, 0);
  });

  it('that was made anew elsewhere between the same ports is read where its old one was', async () => {
    const { one, two, settle } = await setUp();
    const connection = createConnection();
    connection.handshake(one);
    assert.equal(connection.offers(one, 4000), true);
    await settle();
    connection.pass(phone, 0x9000_0000);
    connection.pass(trunk, 0x9000_0000);
    connection.handshake(two);
    assert.equal(connection.offers(two, 4010), true);
    await settle();
    assert.equal(connection.offers(one, 4020), true);
    for (const sender of [phone, trunk]) connection.segment(one, sender, '', FIN);
    await settle();
  });

  it('is known to all as long as one of them reads it', async () => {
    const { one, two, settle, skip, underWay } = await setUp();
    const [connection, other] = [createConnection(), createConnection(host('192.0.2.10', 40_002))];
    connection.handshake(one);
    other.handshake(two);
    for (let hours = 0; hours < 30; hours += 5) {
      connection.keepAlive(one);
      other.keepAlive(two);
      await settle();
      skip(5 * HOUR);
    }
    assert.equal(underWay(), 2);
    assert.equal(connection.offers(two, 4000), true);
  });

  it('is over for all, and for who joins, once nobody has read it for a day', async () => {
    const { one, two, start, settle, skip, underWay } = await setUp();
    const connection = createConnection();
    connection.handshake(one);
    assert.equal(connection.offers(one, 4000), true);
    connection.hangUp(one);
    await settle();
    assert.equal(underWay(), 2);
    skip(25 * HOUR);
    const other = createConnection(host('192.0.2.10', 40_002));
    other.handshake(one);
    other.keepAlive(one);
    await settle();
    assert.equal(underWay(), 1);
    const late = start(3);
    await settle();
    for (const member of [two, late]) assert.equal(connection.offers(member, 4000), false, member.machine);
  });

  it('is not over because another has no room for it', async () => {
    const caps = { ...defaults().caps, tcpConnections: 1 };
    const { one, two, settle, underWay } = await setUp({ ...INSIDE, caps });
    const some = [0, 2, 4].map((at) =>
      createConnection(host('192.0.2.10', 40_000 + at), trunk, `call-${at}`),
    );
    for (const [at, connection] of some.entries()) {
      connection.handshake(one);
      assert.equal(connection.offers(one, 4000 + 10 * at), true);
      await settle();
    }
    assert.equal(underWay(), 6);
    assert.equal(some[2]!.offers(two, 4100), true);
    assert.equal(some[0]!.offers(two, 4200), false, 'there is no room for it');
    await settle();
    assert.equal(some[1]!.offers(one, 4300), true);
  });
});
