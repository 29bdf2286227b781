/**
 * Calls of an outside party over TLS with a PBX inside that mirrors by HEP:
 *
 *   party ── relay, or nothing ── firewall ── PBX (server .10)
 *   (both on the client)
 *
 * Of TLS there are only the records: application data whose bytes nobody can read. An answer and the copy of it leave the PBX in
 * system calls that follow each other, and the party sends media in the system call after it has the answer.
 */
import { randomBytes } from 'node:crypto';
import { KIND } from '../src/intercept/hep/chunks.ts';
import { encodeHep } from '../src/intercept/hep/encode.ts';
import { host, sdp, sip } from '../test/scene.ts';
import { startActor } from './actors.ts';
import type { Daemon } from './daemon.ts';
import type { RaceResult } from './race.ts';
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
} from './steps.ts';
import { ADMINISTRATOR, addressOf, type Topology } from './topology.ts';

export interface EncryptedRaceOptions {
  /** What leaves the PBX first: the encrypted answer, or the copy of it. */
  readonly first: 'answer' | 'copy';
  /** ms that a relay between the party and the firewall keeps what it carries, each way; none where it is left out. */
  readonly relay?: number;
  /** The PBX writes a 180 and the 200 at once, and their copies are so many ms apart. */
  readonly together?: number;
}

const TLS_PORT = 5061;
const PACKETS = 2;
const FIRST_PORT = 10_000;
const COLLECTOR = host('10.0.2.1', 9060);
const party = host(addressOf('client'), 40_000);
const pbx = host(addressOf('server'), TLS_PORT);
const mirror = host(pbx.address, 9060);
/** Where the party and the relay meet. */
const LOOPBACK = { party: host('127.0.0.1', 41_000), relay: host('127.0.0.1', 42_000) } as const;
let runs = 0;

/** What the daemon is told: the PBX is inside and mirrors, the party is outside. */
export const ENCRYPTED_RACE = [
  'inside: [10.0.2.0/24]',
  'media-hosts: []',
  'hep:',
  `  listen: ${COLLECTOR.address}:${COLLECTOR.port}`,
  `  from: [${pbx.address}]`,
].join('\n');

/** Hands TLS over, and forwards that and what bears the mark of a pinhole; media of the PBX is not in it. */
export function encryptedRaceRules(firewall: (program: string, ...args: readonly string[]) => string): void {
  for (const side of ['--dport', '--sport']) {
    firewall(
      ...['iptables-legacy', '-t', 'mangle', '-A', 'FORWARD', '-p', 'tcp', side, String(TLS_PORT)],
      ...['-j', 'NFQUEUE', '--queue-num', '0'],
    );
  }
  firewall('nft', ADMINISTRATOR.replaceAll('5060', String(TLS_PORT)));
}

/** Packets that waited for their copy, and those of them whose copy did not come in time. */
export async function heldBy(daemon: Pick<Daemon, 'status'>): Promise<{ held: number; inVain: number }> {
  const { platformCounters } = await daemon.status();
  return {
    held: platformCounters['heldEncrypted'] ?? 0,
    inVain: platformCounters['heldInVain'] ?? 0,
  };
}

/** `calls` calls one after the other on one connection, never the same ports twice. */
export async function encryptedRace(
  topology: Pick<Topology, 'actors' | 'namespaceOf'>,
  calls: number,
  { first, relay: kept, together }: EncryptedRaceOptions,
): Promise<RaceResult> {
  const run = ++runs;
  const { client: outer, server } = topology.actors;
  // Without a relay it is the party that has the connection to the PBX.
  const inner = kept === undefined ? null : await startActor(topology.namespaceOf('client'));
  const names = { tls: `tls${run}`, listener: `listener${run}`, mirror: `mirror${run}` };
  const met = { listener: `met${run}`, tls: `met-tls${run}` };
  const from = { ...party, port: party.port + run };
  await server.run([listen(names.listener, pbx), udp(names.mirror, { ...mirror, port: mirror.port + run })]);
  const facing = inner ?? outer;
  await Promise.all([
    server.run([accept(names.tls, names.listener)]),
    facing.run([connect(names.tls, from, pbx)]),
  ]);
  if (inner !== null) {
    await inner.run([listen(met.listener, LOOPBACK.relay)]);
    await Promise.all([
      inner.run([accept(met.tls, met.listener)]),
      outer.run([connect(met.tls, LOOPBACK.party, LOOPBACK.relay)]),
    ]);
  }
  const later = pause(kept ?? 0);
  const arrived = new Set<string>();

  for (let call = 0; call < calls; call++) {
    const port = FIRST_PORT + 2 * call;
    const callId = `encrypted-race-${run}-${call}@example.com`;
    const invite = record(sip('INVITE', { callId, body: sdp(party.address, [port]) }));
    const ok = record(sip('200 INVITE', { callId, to: 'b', body: sdp(pbx.address, [port]) }));
    const ringing = record(sip('180 INVITE', { callId, to: 'b' }));
    const told = together === undefined ? ok.bytes : Buffer.concat([ringing.bytes, ok.bytes]);
    const ack = record(sip('ACK', { callId, to: 'b' }));
    const bye = record(sip('BYE', { callId, to: 'b', cseq: 2 }));
    const byeOk = record(sip('200 BYE', { callId, to: 'b', cseq: 2 }));
    const packets = Array.from({ length: PACKETS }, (_, n) => mediaPacket(run, call, n));

    const copy = (one: TlsRecord, away: boolean) =>
      send(names.mirror, COLLECTOR, copyOf(one.text, away ? [pbx, from] : [from, pbx]));
    const answers = (one: TlsRecord) => {
      const both = [write(names.tls, one.bytes), copy(one, true)];
      return first === 'answer' ? both : both.reverse();
    };
    const accepts =
      together === undefined
        ? answers(ok)
        : [write(names.tls, told), copy(ringing, true), pause(together), copy(ok, true)];
    const hears = (one: TlsRecord) => [expect(names.tls, one.bytes), copy(one, false)];
    const atServer: Step[] = [
      udp('media', { address: pbx.address, port }),
      ...hears(invite),
      ...accepts,
      ...hears(ack),
      ...hears(bye),
      take('media'),
      ...answers(byeOk),
      close('media'),
    ];

    const media = { party: { address: party.address, port }, pbx: { address: pbx.address, port } };
    const connection = inner === null ? names.tls : met.tls;
    const mediaSteps = (own: typeof party, to: typeof party) => [
      ...[udp('media', own), write(connection, invite.bytes), expect(connection, told)],
      ...packets.map((packet) => send('media', to, packet)),
      ...[write(connection, ack.bytes), write(connection, bye.bytes), expect(connection, byeOk.bytes)],
      close('media'),
    ];
    const carry = (one: Pick<TlsRecord, 'bytes'>, on: string, to: string) => [
      expect(on, one.bytes),
      later,
      write(to, one.bytes),
    ];
    const atParty =
      inner === null
        ? mediaSteps(media.party, media.pbx)
        : mediaSteps({ ...LOOPBACK.party, port }, { ...LOOPBACK.relay, port: port + 1 });
    const atRelay: Step[] = [
      udp('heard', { ...LOOPBACK.relay, port: port + 1 }),
      udp('media', media.party),
      ...carry(invite, met.tls, names.tls),
      ...carry({ bytes: told }, names.tls, met.tls),
      ...packets.map((packet) => expect('heard', packet)),
      later,
      ...packets.map((packet) => send('media', media.pbx, packet)),
      ...carry(ack, met.tls, names.tls),
      ...carry(bye, met.tls, names.tls),
      ...carry(byeOk, names.tls, met.tls),
      close('heard'),
      close('media'),
    ];
    const [arrivals] = await Promise.all([server.run(atServer), inner?.run(atRelay), outer.run(atParty)]);
    for (const text of textsAt(arrivals!, 'media')) arrived.add(text);
  }
  await Promise.all([
    server.run([close(names.tls), close(names.listener), close(names.mirror)]),
    outer.run([close(inner === null ? names.tls : met.tls)]),
  ]);
  inner?.close();

  const isLost = (call: number, n: number) => !arrived.has(mediaPacket(run, call, n));
  const each = Array.from({ length: calls }, (_, call) =>
    Array.from({ length: PACKETS }, (_, n) => isLost(call, n)),
  );
  return {
    sent: calls * PACKETS,
    lost: each.flat().filter(Boolean).length,
    firstLost: each.filter(([isFirstLost]) => isFirstLost).length,
    callsHurt: each.filter((lost) => lost.includes(true)).length,
  };
}

interface TlsRecord {
  readonly text: string;
  readonly bytes: Buffer;
}

/** A record of application data (RFC 8446 5.2) as long as one that carries `text`: header, cipher text, tag. */
function record(text: string): TlsRecord {
  const header = Buffer.from([0x17, 3, 3, 0, 0]);
  const sealed = randomBytes(text.length + 17);
  header.writeUInt16BE(sealed.length, 3);
  return { text, bytes: Buffer.concat([header, sealed]) };
}

/** The copy of what went from the first to the second, as it is now. */
function copyOf(text: string, [source, destination]: readonly [typeof party, typeof party]): Buffer {
  const copy = encodeHep({
    ...{ source, destination, transport: 'tcp', kind: KIND.sip, seenAt: Date.now(), agent: 1 },
    ...{ key: null, correlation: null },
    payload: Buffer.from(text, 'latin1'),
  });
  if (copy === null) throw new Error('longer than a message of HEP can be');
  return copy;
}

function mediaPacket(run: number, call: number, n: number): string {
  return `media ${run} ${call} ${n}`.padEnd(172, '.');
}
