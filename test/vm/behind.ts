/** Calls through address translation: what each party announces, and where the other sees it. */
import assert from 'node:assert/strict';
import type { Actor } from '../../lab/actors.ts';
import {
  accept,
  close,
  connect,
  expect,
  listen,
  pause,
  type Step,
  send,
  take,
  textsAt,
  udp,
  write,
} from '../../lab/steps.ts';
import type { TransportAddress } from '../../src/address/address.ts';
import { sip } from '../scene.ts';
import { type Agent, describeMedia, PATIENCE } from './lab.ts';

/** An agent with the transport addresses under which the other party knows it. */
export interface Party extends Agent {
  readonly announced: TransportAddress;
  readonly sipSeen: TransportAddress;
}

let ports = 30_000;
let calls = 0;

/** A party of this address; with `external` it announces that, and is seen there. */
export function party(actor: Actor, address: string, external = address): Party {
  ports += 10;
  const own = (port: number) => ({ address, port });
  const seen = (port: number) => ({ address: external, port });
  return {
    actor,
    sip: own(5060),
    media: own(ports),
    announced: seen(ports),
    sipSeen: seen(5060),
    sipSocket: `sip${ports}`,
    mediaSocket: `media${ports}`,
  };
}

/** The same party with its media somewhere else. */
export function moved(one: Party): Party {
  const port = one.media.port + 4;
  return {
    ...one,
    media: { ...one.media, port },
    announced: { ...one.announced, port },
    mediaSocket: `media${port}`,
  };
}

export interface Dialog {
  readonly caller: Party;
  readonly callee: Party;
  readonly callId: string;
  readonly cseq: number;
  /** The caller here is who was called at first. */
  readonly isTurned?: boolean;
}

const tagsOf = ({ isTurned = false }: Dialog) => (isTurned ? { from: 'b', to: 'a' } : { to: 'b' });

/** Who sends media when: the callee before its 200 or after the ACK; the caller as soon as it has the 200, or not at all. */
export interface CallOptions {
  readonly callee: 'before its answer' | 'after the ACK' | 'never';
  readonly caller: 'at once' | 'never';
}

/** INVITE, 200, ACK over UDP, and the first media packets, which have to arrive. `headers` are further ones of INVITE and 200. */
export async function call(
  caller: Party,
  callee: Party,
  when: CallOptions,
  headers: readonly string[] = [],
): Promise<Dialog> {
  const callId = `behind-${++calls}-${process.pid}@example.com`;
  const invite = sip('INVITE', { callId, headers, body: describeMedia(caller.announced) });
  const ok = sip('200 INVITE', { callId, headers, to: 'b', body: describeMedia(callee.announced) });
  const ack = sip('ACK', { callId, to: 'b' });
  const hello = [send(callee.mediaSocket, caller.announced, `callee ${callId}`)];
  const heard = [expect(caller.mediaSocket, `callee ${callId}`, PATIENCE)];
  const early = when.callee === 'before its answer';
  const late = when.callee === 'after the ACK';
  const answers = when.caller === 'at once';
  await Promise.all([
    callee.actor.run([
      expect(callee.sipSocket, invite, PATIENCE),
      ...(early ? hello : []),
      send(callee.sipSocket, caller.sipSeen, ok),
      ...(answers ? [expect(callee.mediaSocket, `caller ${callId}`, PATIENCE)] : []),
      expect(callee.sipSocket, ack, PATIENCE),
      ...(late ? hello : []),
    ]),
    caller.actor.run([
      send(caller.sipSocket, callee.sipSeen, invite),
      ...(early ? heard : []),
      expect(caller.sipSocket, ok, PATIENCE),
      ...(answers ? [send(caller.mediaSocket, callee.announced, `caller ${callId}`)] : []),
      send(caller.sipSocket, callee.sipSeen, ack),
      ...(late ? heard : []),
    ]),
  ]);
  return { caller, callee, callId, cseq: 1 };
}

/** Another offer of the caller, from where it is now, and the callee's answer. */
export async function offerAgain(
  dialog: Dialog,
  method: 'INVITE' | 'UPDATE',
  caller: Party,
): Promise<Dialog> {
  const { callee, callId } = dialog;
  const cseq = dialog.cseq + 1;
  const tags = tagsOf(dialog);
  const offer = sip(method, { callId, ...tags, cseq, body: describeMedia(caller.announced, cseq) });
  const answer = sip(`200 ${method}`, { callId, ...tags, cseq, body: describeMedia(callee.announced, cseq) });
  const ack = sip('ACK', { callId, ...tags, cseq });
  const isInvite = method === 'INVITE';
  await Promise.all([
    callee.actor.run([
      expect(callee.sipSocket, offer, PATIENCE),
      send(callee.sipSocket, caller.sipSeen, answer),
      ...(isInvite ? [expect(callee.sipSocket, ack, PATIENCE)] : []),
    ]),
    caller.actor.run([
      send(caller.sipSocket, callee.sipSeen, offer),
      expect(caller.sipSocket, answer, PATIENCE),
      ...(isInvite ? [send(caller.sipSocket, callee.sipSeen, ack)] : []),
    ]),
  ]);
  return { ...dialog, caller, cseq };
}

export async function hangUp(dialog: Dialog): Promise<void> {
  const { caller, callee, callId, cseq } = dialog;
  const tags = tagsOf(dialog);
  const bye = sip('BYE', { callId, ...tags, cseq: cseq + 1 });
  const ok = sip('200 BYE', { callId, ...tags, cseq: cseq + 1 });
  await Promise.all([
    callee.actor.run([expect(callee.sipSocket, bye, PATIENCE), send(callee.sipSocket, caller.sipSeen, ok)]),
    caller.actor.run([send(caller.sipSocket, callee.sipSeen, bye), expect(caller.sipSocket, ok, PATIENCE)]),
  ]);
}

/** A call over TCP, with media both ways while it is up, and its end. */
export async function callOverTcp(caller: Party, callee: Party, whileUp: () => Promise<void>): Promise<void> {
  const callId = `behind-tcp-${++calls}-${process.pid}@example.com`;
  const tcp = (text: string) => text.replace('SIP/2.0/UDP', 'SIP/2.0/TCP');
  const invite = tcp(sip('INVITE', { callId, body: describeMedia(caller.announced) }));
  const ok = tcp(sip('200 INVITE', { callId, to: 'b', body: describeMedia(callee.announced) }));
  const ack = tcp(sip('ACK', { callId, to: 'b' }));
  const bye = tcp(sip('BYE', { callId, to: 'b', cseq: 2 }));
  const byeOk = tcp(sip('200 BYE', { callId, to: 'b', cseq: 2 }));
  await callee.actor.run([listen('listener', callee.sip), udp(callee.mediaSocket, callee.media)]);
  await caller.actor.run([udp(caller.mediaSocket, caller.media)]);
  const [from, at] = [{ ...caller.sip, port: caller.media.port + 5 }, callee.sipSeen];
  await Promise.all([
    callee.actor.run([
      { ...accept('stream', 'listener'), within: PATIENCE } as Step,
      expect('stream', invite, PATIENCE),
      write('stream', ok),
      expect('stream', ack, PATIENCE),
    ]),
    caller.actor.run([
      connect('stream', from, at),
      write('stream', invite.slice(0, 200)),
      pause(50),
      write('stream', invite.slice(200)),
      expect('stream', ok, PATIENCE),
      write('stream', ack),
    ]),
  ]);
  await whileUp();
  await Promise.all([
    callee.actor.run([expect('stream', bye, PATIENCE), write('stream', byeOk)]),
    caller.actor.run([write('stream', bye), expect('stream', byeOk, PATIENCE)]),
  ]);
  await callee.actor.run([close('stream'), close('listener')]);
  await caller.actor.run([close('stream')]);
}

/** Where a datagram of one party's media socket came from when it got to the other's, or null. */
export async function arrival(
  from: Party,
  to: Party,
  at = to.announced,
  socket = from.mediaSocket,
): Promise<TransportAddress | null> {
  const text = `probe ${Math.random()}`;
  await to.actor.run([take(to.mediaSocket)]);
  await from.actor.run([send(socket, at, text)]);
  const arrivals = await to.actor.run([pause(1000), take(to.mediaSocket)]);
  const found = arrivals.filter((one) => textsAt([one], to.mediaSocket).includes(text));
  return found[0] === undefined ? null : { address: found[0].from, port: found[0].fromPort };
}

/**
 * Media passes both ways, each seen where it was announced. What a party sent before its own answer had passed may have
 * come from another port, and goes on so until its state is found: some 20 ms, or a second where the machine is emulated.
 */
export async function assertMedia(a: Party, b: Party): Promise<void> {
  await assertSeen(a, b);
  await assertSeen(b, a);
}

/** Media of one party comes to the other from where it was announced. */
export async function assertSeen(from: Party, to: Party): Promise<void> {
  let seen: TransportAddress | null = null;
  for (let tries = 0; tries < 10; tries++) {
    seen = await arrival(from, to);
    if (seen?.address === from.announced.address && seen.port === from.announced.port) return;
  }
  assert.deepEqual(seen, from.announced);
}
