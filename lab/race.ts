import type { Address, TransportAddress } from '../src/address/address.ts';
import { sdp, sip } from '../test/scene.ts';
import { type Arrival, awaits, close, expect, pause, type Step, send, take, udp } from './steps.ts';
import { addressOf, relayAddress, type Topology } from './topology.ts';

/** Media packets of many calls, each sent in the system call right after the one that makes it legal. */
export interface RaceResult {
  readonly sent: number;
  readonly lost: number;
  /** Of `lost`, the first packet of its direction of a call. */
  readonly firstLost: number;
  /** Calls that lost a packet. */
  readonly callsHurt: number;
  /** With `within`: calls of which a SIP message did not arrive. They count in nothing else. */
  readonly incomplete?: number;
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
  /** Calls that are begun at once, 1 where it is left out: what each waits for, the others do not. */
  readonly together?: number;
  /** ms after which a SIP message is lost, where the way between the hosts loses some; else the first that is ends it all. */
  readonly within?: number;
}

const HOSTS = { client: addressOf('client'), server: addressOf('server') } as const;
/** Packets that each side of a call sends as soon as it may. */
export const PACKETS = 2;
const FIRST_PORT = 10_000;
/** Calls in one list of steps. */
const CHUNK = 250;
let runs = 0;

/**
 * `calls` calls one after the other, or some `together`, never the same ports twice. The callee sends media right behind its
 * answer, the caller as soon as the answer is there. Neither side waits for anything else, unless told to.
 */
export async function race(
  { actors }: { readonly actors: Pick<Topology['actors'], 'client' | 'server'> },
  calls: number,
  { delay = 0, relay = false, external, hosts = HOSTS, start = 0, together = 1, within }: RaceOptions = {},
): Promise<RaceResult> {
  runs++;
  const client = { address: hosts.client, port: 5060 };
  const server = { address: hosts.server, port: 5060 };
  const seen = { ...client, address: external ?? client.address };
  await Promise.all([actors.client.run([udp('sip', client)]), actors.server.run([udp('sip', server)])]);
  const callee = relay ? relayAddress() : server.address;
  const later = delay === 0 ? [] : [pause(delay)];
  const awaited = within === undefined ? expect : (name: string, text: string) => awaits(name, text, within);
  const parties = { client, server, seen, callee, later, awaited };
  const arrivals: Arrival[] = [];
  const end = start + calls;
  const numbers = Array.from({ length: calls }, (_, n) => start + n);
  for (const chunk of cut(numbers, CHUNK)) {
    const groups = cut(chunk, together).map((group) => group.map((call) => stepsOf(call, parties)));
    const sideOf = (side: 'caller' | 'callee') =>
      groups.flatMap((group) => PHASES.flatMap((phase) => group.flatMap((call) => call[side][phase])));
    // The callee listens before the first INVITE of the list comes.
    const [atCaller, atCallee] = await Promise.all([
      actors.client.run([pause(20), ...sideOf('caller')]),
      actors.server.run(sideOf('callee')),
    ]);
    arrivals.push(...atCaller, ...atCallee);
  }
  await Promise.all([actors.client.run([close('sip')]), actors.server.run([close('sip')])]);
  return judge(arrivals, start, end, within !== undefined);
}

function cut<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
}

/** What calls that are begun at once do one after the other. */
const PHASES = ['begin', 'talk', 'end'] as const;
type Steps = Readonly<Record<(typeof PHASES)[number], readonly Step[]>>;

interface Parties {
  readonly client: TransportAddress;
  readonly server: TransportAddress;
  /** The caller, as the callee sees it. */
  readonly seen: TransportAddress;
  /** Where the callee's media is. */
  readonly callee: Address;
  /** What both do before they send media. */
  readonly later: readonly Step[];
  readonly awaited: (socket: string, text: string) => Step;
}

function stepsOf(
  call: number,
  { client, server, seen, callee, later, awaited }: Parties,
): { readonly caller: Steps; readonly callee: Steps } {
  const port = FIRST_PORT + 2 * call;
  const media = `media${call}`;
  const callId = `race-${runs}-${call}@example.com`;
  const message = (start: string, rest: Parameters<typeof sip>[1] = {}) => sip(start, { callId, ...rest });
  const invite = message('INVITE', { body: sdp(seen.address, [port]) });
  const ok = message('200 INVITE', { to: 'b', body: sdp(callee, [port]) });
  const ack = message('ACK', { to: 'b' });
  const bye = message('BYE', { to: 'b', cseq: 2, from: 'a' });
  const byeOk = message('200 BYE', { to: 'b', cseq: 2 });
  const packets = (from: string, to: Address) =>
    Array.from({ length: PACKETS }, (_, n) =>
      send(media, { address: to, port }, `${from} ${call} ${n}`.padEnd(172, '.')),
    );
  return {
    caller: {
      begin: [udp(media, { address: client.address, port }), send('sip', server, invite)],
      talk: [
        awaited('sip', ok),
        ...later,
        ...packets('caller', callee),
        send('sip', server, ack),
        send('sip', server, bye),
      ],
      end: [awaited('sip', byeOk), take(media), close(media)],
    },
    callee: {
      begin: [udp(media, { address: callee, port })],
      talk: [awaited('sip', invite), send('sip', seen, ok), ...later, ...packets('callee', seen.address)],
      end: [awaited('sip', ack), awaited('sip', bye), take(media), send('sip', seen, byeOk), close(media)],
    },
  };
}

/** SIP messages of a call. */
const MESSAGES = 5;

function judge(arrivals: readonly Arrival[], start: number, end: number, mayMiss: boolean): RaceResult {
  const arrived = new Set<string>();
  const heard = new Map<number, Set<string>>();
  for (const { socket, data } of arrivals) {
    const text = Buffer.from(data, 'base64').toString('latin1');
    const call = /^Call-ID: race-[0-9]+-([0-9]+)@/m.exec(text)?.[1];
    if (socket.startsWith('media')) arrived.add(text.replace(/\.+$/, ''));
    else if (call !== undefined) heard.set(Number(call), (heard.get(Number(call)) ?? new Set()).add(text));
  }
  let incomplete = 0;
  let lost = 0;
  let firstLost = 0;
  let callsHurt = 0;
  for (let call = start; call < end; call++) {
    if (mayMiss && (heard.get(call)?.size ?? 0) < MESSAGES) {
      incomplete++;
      continue;
    }
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
  const sent = (end - start - incomplete) * 2 * PACKETS;
  return { sent, lost, firstLost, callsHurt, ...(mayMiss && { incomplete }) };
}
