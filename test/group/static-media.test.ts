import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { host, networks } from '../scene.ts';
import { createFirewalls, type Member } from './firewalls.ts';
import { createShelf } from './memory-store.ts';

const pbx = host('192.168.1.10', 5061);
const provider = host('203.0.113.7', 40_000);
const other = host('203.0.113.7', 40_001);
/** The first bytes of a ServerHello as OpenSSL 3 writes them. */
const SERVER_HELLO = Buffer.from('160303007a0200007603038e', 'hex');
const [FIN, RST] = [0x01, 0x04];
const OPEN = ['192.168.1.10 10000-10099'];

const changes = {
  inside: networks('192.168.0.0/16'),
  sipPorts: [[5060, 5061]] as const,
  staticMedia: [
    {
      ...{ name: 'trunk', peers: networks('203.0.113.7'), mediaFrom: null },
      ...{ hosts: ['192.168.1.10'], ports: [[10_000, 10_099]] as const },
    },
  ],
};

const there: Member[] = [];
afterEach(async () => {
  for (const member of there.splice(0)) await member.end();
});

async function setUp() {
  const shelf = createShelf();
  const firewalls = createFirewalls(shelf);
  const members = [firewalls.member(1, changes), firewalls.member(2, changes)] as const;
  there.push(...members);
  await firewalls.settle();
  return { shelf, members, ...firewalls };
}

function speak(member: Member, peer = provider): void {
  member.segment(pbx, peer, { seq: 501, ack: 101, payload: SERVER_HELLO });
}

/** Ports that are open on each, and how many calls are up. */
function assertAll(members: readonly Member[], open: readonly string[]): void {
  for (const member of members) {
    assert.deepEqual(member.open(), open, member.machine);
    const up = member.calls().filter((state) => state !== 'ended');
    assert.equal(up.length, open.length, member.machine);
    assert.equal(member.faults(), 0);
  }
}

describe('ports of static-media on firewalls that share their calls', () => {
  it('open on all, go on where the connection goes, and close on all where it ends', async () => {
    const { members, settle, pass } = await setUp();
    const [one, two] = members;
    speak(one);
    await settle();
    assertAll(members, OPEN);
    two.segment(provider, pbx, { seq: 4711, flags: RST });
    await settle();
    assertAll(members, OPEN);
    two.segment(pbx, provider, { seq: 520, ack: 150 });
    speak(two, other);
    await settle();
    two.segment(provider, pbx, { seq: 150, flags: RST });
    await pass(1000);
    assertAll(members, OPEN);
    one.segment(pbx, other, { seq: 520, ack: 101, flags: FIN });
    await pass(1000);
    assertAll(members, []);
  });

  it('are of one call where both opened them while the store was away', async () => {
    const { shelf, members, settle, pass } = await setUp();
    const [one, two] = members;
    shelf.away = true;
    await settle();
    speak(one);
    speak(two, other);
    await settle();
    assertAll(members, OPEN);
    shelf.away = false;
    await pass(10_000);
    assertAll(members, OPEN);
    one.segment(pbx, provider, { seq: 520, flags: FIN });
    await pass(1000);
    assertAll(members, OPEN);
    one.segment(pbx, other, { seq: 520, flags: FIN });
    await pass(1000);
    assertAll(members, []);
  });

  it('go with the firewall that ended, and with the settings', async () => {
    const { members, settle, pass } = await setUp();
    const [one, two] = members;
    speak(one);
    await settle();
    await one.end();
    two.segment(pbx, provider, { seq: 520, ack: 150 });
    await settle();
    assertAll([two], OPEN);
    two.reload({ staticMedia: [] });
    await pass(1000);
    assertAll([two], []);
  });
});
