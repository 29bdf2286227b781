import type { Address } from '../src/address/address.ts';
import { sdp, sip } from '../test/scene.ts';
import { type Arrival, close, expect, pause, type Step, send, take, udp } from './steps.ts';
import { addressOf, relayAddress, type Topology } from './topology.ts';

/** Media packets of many calls, each sent in the system call right after the one that makes it legal. */
export interface RaceResult {
  readonly sent: number;
  readonly lost: number;
  /** Of `lost`, the first packet of its direction of a call. */
  readonly firstLost: number;
  /** Calls that lost a packet. */
  readonly callsHurt: number;
}

export interface RaceOptions {
  /** ms that both sides wait before they send media. */
  readonly delay?: number;
  /** The callee's media comes from another address than its signalling. */
  readonly relay?: boolean;
  /** What the caller is seen as by the callee, where there is NAT between. */
  readonly external?: Address;
  /** Addresses of the caller and the callee; those of the topology where they are left out. */
  readonly hosts?: Readonly<Record<'client' | 'server', Address>>;
  /** Number of the first call: its Call-ID and its ports go by that. */
  readonly start?: number;
}

const HOSTS = { client: addressOf('client'), server: addressOf('server') } as const;
/** Packets that each side sends as soon as it may. */
const PACKETS = 2;
const FIRST_PORT = 10_000;
/** Calls in one list of steps. */
const CHUNK = 250;
let runs = 0;

/**
 * `calls` calls one after the other, never the same ports twice. The callee sends media right behind its answer,
 * the caller as soon as the answer is there. Neither side waits for anything else, unless told to.
 */
export async function race(
  { actors }: { readonly actors: Pick<Topology['actors'], 'client' | 'server'> },
  calls: number,
  { delay = 0, relay = false, external, hosts = HOSTS, start = 0 }: RaceOptions = {},
): Promise<RaceResult> {
  runs++;
  const later = delay === 0 ? [] : [pause(delay)];
  const client = { address: hosts.client, port: 5060 };
  const server = { address: hosts.server, port: 5060 };
  const seen = { ...client, address: external ?? client.address };
  await Promise.all([actors.client.run([udp('sip', client)]), actors.server.run([udp('sip', server)])]);
  const media = { caller: client.address, callee: relay ? relayAddress() : server.address };
  const arrivals: Arrival[] = [];
  const end = start + calls;
  for (let first = start; first < end; first += CHUNK) {
    const caller: Step[] = [];
    const callee: Step[] = [];
    for (let call = first; call < Math.min(end, first + CHUNK); call++) {
      const port = FIRST_PORT + 2 * call;
      const callId = `race-${runs}-${call}@example.com`;
      const message = (start: string, rest: Parameters<typeof sip>[1] = {}) =>
        sip(start, { callId, ...rest });
      const invite = message('INVITE', { body: sdp(seen.address, [port]) });
      const ok = message('200 INVITE', { to: 'b', body: sdp(media.callee, [port]) });
      const ack = message('ACK', { to: 'b' });
      const bye = message('BYE', { to: 'b', cseq: 2, from: 'a' });
      const byeOk = message('200 BYE', { to: 'b', cseq: 2 });
      const packets = (from: string) =>
        Array.from({ length: PACKETS }, (_, n) => `${from} ${call} ${n}`.padEnd(172, '.'));
      caller.push(
        udp('media', { address: media.caller, port }),
        send('sip', server, invite),
        expect('sip', ok),
        ...later,
        ...packets('caller').map((text) => send('media', { address: media.callee, port }, text)),
        send('sip', server, ack),
        send('sip', server, bye),
        expect('sip', byeOk),
        take('media'),
        close('media'),
      );
      callee.push(
        udp('media', { address: media.callee, port }),
        expect('sip', invite),
        send('sip', seen, ok),
        ...later,
        ...packets('callee').map((text) => send('media', { address: seen.address, port }, text)),
        expect('sip', ack),
        expect('sip', bye),
        take('media'),
        send('sip', seen, byeOk),
        close('media'),
      );
    }
    // The callee listens before the first INVITE of the list comes.
    const [atCaller, atCallee] = await Promise.all([
      actors.client.run([pause(20), ...caller]),
      actors.server.run(callee),
    ]);
    arrivals.push(...atCaller, ...atCallee);
  }
  return judge(arrivals, start, end);
}

function judge(arrivals: readonly Arrival[], start: number, end: number): RaceResult {
  const arrived = new Set(
    arrivals
      .filter(({ socket }) => socket === 'media')
      .map(({ data }) => Buffer.from(data, 'base64').toString('latin1').replace(/\.+$/, '')),
  );
  let lost = 0;
  let firstLost = 0;
  let callsHurt = 0;
  for (let call = start; call < end; call++) {
    let hurt = false;
    for (const side of ['caller', 'callee']) {
      for (let n = 0; n < PACKETS; n++) {
        if (arrived.has(`${side} ${call} ${n}`)) continue;
        lost++;
        hurt = true;
        if (n === 0) firstLost++;
      }
    }
    if (hurt) callsHurt++;
  }
  return { sent: (end - start) * 2 * PACKETS, lost, firstLost, callsHurt };
}
