/** What outside hosts have tried: each attack on the wire, through the kernel, with what the daemon must make of it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  accept,
  close,
  connect,
  expect,
  listen,
  pause,
  raw,
  type Step,
  send,
  take,
  textsAt,
  write,
} from '../../lab/steps.ts';
import { checksummed, udpPacket } from '../packets.ts';
import { sdp, sip } from '../scene.ts';
import { arrival, type Dialog, hangUp, type Party, party } from './behind.ts';
import { eventually, type GuestDaemon, startDaemon } from './daemon.ts';
import { ADDRESSES, type Guest, withoutGuest } from './guest.ts';
import { describeMedia, type Lab, open, openLab, PATIENCE, pauseThere, shut } from './lab.ts';
import { egress, ruleset, UNCAPPED } from './ruleset.ts';

const PHONE = ADDRESSES.inside[4];
/** An inside address that no host has: one that had both would not believe the forged packets. */
const NOBODY = '192.0.2.77';
const OUTSIDE = ADDRESSES.outside[4];
const NAMED = ADDRESSES.outside.stranger;

const CONFIG = `
inside: [192.0.2.0/24]
peers:
  - {name: trunk, networks: [${NAMED}]}
  - 0.0.0.0/0
${UNCAPPED}`;

/** RFC 3261 17: 64*T1. */
const T1_64 = 32_000;
/** ms after the end of a call within which its media must be stopped. The daemon has 100; the machine may be emulated. */
const CLOSED_WITHIN = Number(process.env['PINHOLED_VM_CLOSED_WITHIN'] ?? 3000);
/** ms between two media packets of a call that ends, and how long they go on. */
const MEDIA_EVERY = 20;
const MEDIA_FOR = 2 * CLOSED_WITHIN;

describe('attacks through FreeBSD', { skip: withoutGuest }, () => {
  let lab: Lab;
  let guest: Guest;
  let daemon: GuestDaemon;

  before(async () => {
    lab = await openLab();
    guest = lab.guest;
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  async function serve(last: readonly string[]): Promise<void> {
    await daemon?.stop();
    daemon = await startDaemon(guest, CONFIG, ruleset(guest, { last }));
  }

  const inside = (address: string = PHONE) => party(lab.inside, address);
  const outside = (address: string = OUTSIDE) => party(lab.outside, address);
  const rulesFor = ({ media }: Party) => lab.rulesAt(media.port);

  /** A call from inside that is up. */
  async function callOut(phone: Party, peer: Party): Promise<Dialog> {
    const callId = `attack-${phone.media.port}@example.com`;
    await exchange(phone, peer, sip('INVITE', { callId, body: describeMedia(phone.media) }));
    await exchange(peer, phone, sip('200 INVITE', { callId, to: 'b', body: describeMedia(peer.media) }));
    await exchange(phone, peer, sip('ACK', { callId, to: 'b' }));
    return { caller: phone, callee: peer, callId, cseq: 1 };
  }

  describe('where nothing may pass but SIP', () => {
    before(() => serve([]));

    it('two datagrams from outside that bear the addresses of inside hosts (A19)', async () => {
      const [phone, other, attacker] = [inside(), inside(NOBODY), outside()];
      await Promise.all([phone, attacker].map(open));
      const callId = 'forged@example.com';
      const invite = sip('INVITE', { callId, body: describeMedia(phone.media) });
      const ok = sip('200 INVITE', { callId, to: 'b', body: sdp(OUTSIDE, [9]) });
      await lab.outside.run([raw(checksummed(udpPacket(phone.sip, other.sip, invite)))]);
      await daemon.said(new RegExp(`spoofed-inside.*${PHONE}`));
      await lab.outside.run([raw(checksummed(udpPacket(other.sip, phone.sip, ok)))]);
      await lab.inside.run([expect(phone.sipSocket, ok, PATIENCE)]);
      await daemon.said(new RegExp(`spoofed-inside.*${NOBODY}`));
      assert.deepEqual(await rulesFor(phone), []);
      assert.equal(await arrival(attacker, phone), null);
      await Promise.all([phone, attacker].map(shut));
    });

    it('media of the inside host after the end, by the state that the outside party made', async () => {
      const [phone, peer] = [inside(), outside()];
      await Promise.all([open(phone), open(peer)]);
      const dialog = await callOut(phone, peer);
      assert.notEqual(await arrival(peer, phone), null);
      assert.notEqual(await arrival(phone, peer), null);
      await endWhileSending(dialog, phone, peer, { hangsUp: phone });
      await Promise.all([phone, peer].map(shut));
    });
  });

  describe('where inside hosts may send', () => {
    before(() => serve(egress(guest)));

    for (const first of ['inside', 'outside'] as const) {
      for (const hangsUp of ['inside', 'outside'] as const) {
        it(`media of the outside party after the end: ${first} sent first, ${hangsUp} hangs up`, async (context) => {
          const [phone, peer] = [inside(), outside()];
          await Promise.all([open(phone), open(peer)]);
          const dialog = await callOut(phone, peer);
          const [one, two] = first === 'inside' ? [phone, peer] : [peer, phone];
          assert.notEqual(await arrival(one, two), null);
          assert.notEqual(await arrival(two, one), null);
          const lasted = await endWhileSending(dialog, peer, phone, {
            hangsUp: hangsUp === 'inside' ? phone : peer,
          });
          context.diagnostic(`the last packet that got in was sent ${lasted} ms after the 200 to the BYE`);
          await Promise.all([phone, peer].map(shut));
        });
      }
    }

    it('media of the outside party after the end, of which the phone learns a little late', async (context) => {
      const [phone, peer] = [inside(), outside()];
      await Promise.all([open(phone), open(peer)]);
      const dialog = await callOut(phone, peer);
      assert.notEqual(await arrival(phone, peer), null);
      const lasted = await endWhileSending(dialog, peer, phone, { hangsUp: peer, stragglers: 30 });
      context.diagnostic(`the last packet that got in was sent ${lasted} ms after the 200 to the BYE`);
      await Promise.all([phone, peer].map(shut));
    });

    it('a 401 to the BYE of the inside host, and media from then on', async () => {
      const [phone, peer] = [inside(), outside()];
      await Promise.all([open(phone), open(peer)]);
      const { callId } = await callOut(phone, peer);
      assert.notEqual(await arrival(peer, phone), null);
      await exchange(phone, peer, sip('BYE', { callId, to: 'b', cseq: 2 }));
      await exchange(peer, phone, sip('401 BYE', { callId, to: 'b', cseq: 2 }));
      assert.notDeepEqual(await rulesFor(phone), []);
      await eventually(async () => {
        await peer.actor.run([send(peer.mediaSocket, phone.media, 'still here')]);
        return (await rulesFor(phone)).length === 0;
      }, 3 * T1_64);
      await eventually(async () => (await arrival(peer, phone)) === null, 10_000);
      await Promise.all([phone, peer].map(shut));
    });

    it('another party answers when the first has long answered', async () => {
      const [phone, peer, late] = [inside(), outside(), outside(NAMED)];
      await Promise.all([open(phone), open(peer), open(late)]);
      const dialog = await callOut(phone, peer);
      await pauseThere(guest, T1_64 + 1000);
      const { callId } = dialog;
      await exchange(peer, phone, sip('200 INVITE', { callId, to: 'evil', body: describeMedia(late.media) }));
      assert.equal(await arrival(late, phone), null);
      assert.notEqual(await arrival(peer, phone), null);
      await hangUp(dialog);
      await eventually(async () => (await rulesFor(phone)).length === 0);
      assert.equal(await arrival(late, phone), null);
      await Promise.all([phone, peer, late].map(shut));
    });

    it('another party answers at once, is never acknowledged, and the inside host hangs up with the first', async () => {
      const [phone, peer, second] = [inside(), outside(), outside(NAMED)];
      await Promise.all([open(phone), open(peer), open(second)]);
      const dialog = await callOut(phone, peer);
      const { callId } = dialog;
      await exchange(
        peer,
        phone,
        sip('200 INVITE', { callId, to: 'second', body: describeMedia(second.media) }),
      );
      assert.notEqual(await arrival(second, phone), null);
      await hangUp(dialog);
      await eventually(async () => (await rulesFor(phone)).length === 0);
      await eventually(async () => (await arrival(second, phone)) === null, 10_000);
      await Promise.all([phone, peer, second].map(shut));
    });
  });

  describe('TCP connections that are older than the daemon', () => {
    before(() => serve(egress(guest)));

    /** A connection from inside to outside on which something was sent, and then a daemon that knows nothing of it. */
    async function olderConnection(phone: Party, peer: Party, began: string): Promise<void> {
      const from = { ...phone.sip, port: phone.media.port + 1 };
      await peer.actor.run([listen('web', peer.sip)]);
      await Promise.all([
        phone.actor.run([connect('stream', from, peer.sip), write('stream', began)]),
        peer.actor.run([
          { ...accept('stream', 'web'), within: PATIENCE } as Step,
          expect('stream', began, PATIENCE),
          close('web'),
        ]),
      ]);
      await daemon.stop();
      await guest.run('rm -rf /var/db/pinholed');
      await daemon.start();
    }

    /** An INVITE in a segment of its own. */
    async function invites(phone: Party, peer: Party): Promise<void> {
      const invite = sip('INVITE', {
        callId: `stream-${phone.media.port}@example.com`,
        body: describeMedia(phone.media),
      }).replace('SIP/2.0/UDP', 'SIP/2.0/TCP');
      await phone.actor.run([write('stream', invite)]);
      await peer.actor.run([expect('stream', invite, PATIENCE)]);
    }

    const ended = async (...parties: Party[]) => {
      for (const { actor } of parties) await actor.run([close('stream')]);
    };

    it("a browser's, in which an INVITE stands at the start of a segment, after a silence", async () => {
      const [phone, peer] = [inside(), outside()];
      await olderConnection(phone, peer, 'POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n');
      await pauseThere(guest, 1500);
      await invites(phone, peer);
      await daemon.said(/older-connection/);
      assert.deepEqual(await rulesFor(phone), []);
      await ended(phone, peer);
    });

    it('one to a peer with a name is read on at once', async () => {
      const [phone, peer] = [inside(), outside(NAMED)];
      await olderConnection(phone, peer, sip('OPTIONS').replace('SIP/2.0/UDP', 'SIP/2.0/TCP'));
      await invites(phone, peer);
      assert.notDeepEqual(await rulesFor(phone), []);
      await ended(phone, peer);
    });
  });
});

/** One message from a party to another, which has to arrive as it was sent. */
async function exchange(from: Party, to: Party, text: string): Promise<void> {
  await from.actor.run([send(from.sipSocket, to.sip, text)]);
  await to.actor.run([expect(to.sipSocket, text, PATIENCE)]);
}

/**
 * Ends a call while `sender` sends on, from the 200 to the BYE onwards. Nothing may arrive that was sent later than
 * `CLOSED_WITHIN`. Returns when the last that did was sent, in ms after the 200, as its number tells; 0 where none did.
 * The receiver has so many `stragglers` on its way when the call ends.
 */
async function endWhileSending(
  { caller, callId, cseq }: Dialog,
  sender: Party,
  receiver: Party,
  { hangsUp, stragglers = 0 }: { readonly hangsUp: Party; readonly stragglers?: number },
): Promise<number> {
  const tags = hangsUp === caller ? { from: 'a', to: 'b' } : { from: 'b', to: 'a' };
  const bye = sip('BYE', { callId, ...tags, cseq: cseq + 1 });
  const ok = sip('200 BYE', { callId, ...tags, cseq: cseq + 1 });
  const signalling = (one: Party, other: Party): Step[] =>
    one === hangsUp
      ? [send(one.sipSocket, other.sip, bye), expect(one.sipSocket, ok, PATIENCE)]
      : [expect(one.sipSocket, bye, PATIENCE), send(one.sipSocket, other.sip, ok)];
  const media = (from: Party, to: Party, count: number) =>
    Array.from({ length: count }, (_, index) => [
      send(from.mediaSocket, to.media, `after ${index}`),
      pause(MEDIA_EVERY),
    ]).flat();
  await receiver.actor.run([take(receiver.mediaSocket)]);
  await Promise.all([
    receiver.actor.run([...signalling(receiver, sender), ...media(receiver, sender, stragglers)]),
    sender.actor.run([...signalling(sender, receiver), ...media(sender, receiver, MEDIA_FOR / MEDIA_EVERY)]),
  ]);
  const arrivals = await receiver.actor.run([pause(1000), take(receiver.mediaSocket)]);
  const numbers = textsAt(arrivals, receiver.mediaSocket).map((text) => Number(text.replace('after ', '')));
  const last = (Math.max(-1, ...numbers) + 1) * MEDIA_EVERY;
  assert.ok(last <= CLOSED_WITHIN, `media got in that was sent ${last} ms after the end`);
  return last;
}
