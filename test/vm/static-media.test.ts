import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { after, before, describe, it } from 'node:test';
import { accept, close, connect, expect, listen, send, take, textsAt, udp, write } from '../../lab/steps.ts';
import { type GuestDaemon, startDaemon } from './daemon.ts';
import { ADDRESSES, withoutGuest } from './guest.ts';
import { type Agent, type Lab, mediaPasses, open, openLab, PATIENCE, passes, shut } from './lab.ts';
import { ruleset, UNCAPPED } from './ruleset.ts';

/** A handshake's first record, of the client and of the server (RFC 8446 4 and 5.1), with nothing in the messages. */
const HELLO = {
  client: Buffer.from('16030100050100000100', 'hex'),
  server: Buffer.from('16030300050200000100', 'hex'),
};

/** A provider whose SIP nobody can read, over a connection to the telephone that begins as TLS does. */
describe('static-media', { skip: withoutGuest }, () => {
  let lab: Lab;
  let daemon: GuestDaemon;
  let provider: Agent;
  let telephone: Agent;

  before(async () => {
    lab = await openLab();
    ({ caller: provider, callee: telephone } = lab.agents());
    const { address, port } = telephone.media;
    const config = `
inside: [192.0.2.0/24]
static-media: [{name: trunk, peers: [${provider.sip.address}], hosts: [${address}], ports: [${port}-${port + 19}]}]
${UNCAPPED}`;
    daemon = await startDaemon(lab.guest, config, ruleset(lab.guest));
    await Promise.all([open(provider), open(telephone)]);
    await telephone.actor.run([listen('tls', telephone.sip)]);
  });

  after(async () => {
    await Promise.all([provider, telephone].map(shut)).catch(() => {});
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  /** A connection whose peer has said that it begins TLS, to which the telephone has not answered. */
  async function connected(from: Agent['sip'], name: string): Promise<void> {
    await Promise.all([
      provider.actor.run([connect(name, from, telephone.sip), write(name, HELLO.client)]),
      telephone.actor.run([accept(name, 'tls'), expect(name, HELLO.client, PATIENCE)]),
    ]);
  }

  async function answered(name: string): Promise<void> {
    await telephone.actor.run([write(name, HELLO.server)]);
    await provider.actor.run([expect(name, HELLO.server, PATIENCE)]);
  }

  it('opens the ports to the peer when the host has answered it, to nobody else, and closes them with the connection', async () => {
    await connected({ ...provider.sip, port: 40_000 }, 'trunk');
    assert.deepEqual(await lab.pinholes(), [], 'anybody may say that he begins TLS');
    assert.equal(await passes(provider.actor, provider.mediaSocket, telephone), false);
    await answered('trunk');
    await lab.isOpen(telephone);
    assert.ok(await mediaPasses(provider, telephone));
    const last = { ...telephone.media, port: telephone.media.port + 19 };
    await telephone.actor.run([udp('last', last)]);
    await provider.actor.run([send(provider.mediaSocket, last, 'to the last port')]);
    await telephone.actor.run([expect('last', 'to the last port', PATIENCE)]);
    const stranger = { address: ADDRESSES.outside.stranger, port: 40_000 };
    await provider.actor.run([udp('stranger', stranger)]);
    assert.equal(await passes(provider.actor, 'stranger', telephone), false);
    await telephone.actor.run([close('trunk')]);
    await lab.isClosed(telephone);
    assert.deepEqual(await lab.pinholes(), []);
    assert.equal(await passes(provider.actor, provider.mediaSocket, telephone), false);
    await provider.actor.run([close('stranger'), close('trunk')]);
    await telephone.actor.run([close('last')]);
  });

  it('opens nothing to others whom the host speaks TLS with', async () => {
    const stranger = { address: ADDRESSES.outside.stranger, port: 40_001 };
    await connected(stranger, 'other');
    await answered('other');
    await provider.actor.run([
      udp('stranger', stranger),
      send('stranger', telephone.media, 'from a stranger'),
    ]);
    assert.deepEqual(await lab.pinholes(), []);
    const there = await telephone.actor.run([take(telephone.mediaSocket)]);
    assert.deepEqual(textsAt(there, telephone.mediaSocket), []);
    await telephone.actor.run([close('other')]);
    await provider.actor.run([close('other'), close('stranger')]);
  });
});
