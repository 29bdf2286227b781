/** Two user agents, one on each side of the FreeBSD machine, and what calls between them are made of. */
import assert from 'node:assert/strict';
import { type Actor, startActor } from '../../lab/actors.ts';
import { close, expect, pause, type Step, send, take, textsAt, udp } from '../../lab/steps.ts';
import type { TransportAddress } from '../../src/address/address.ts';
import { defaults } from '../../src/config/schema.ts';
import { layOut } from '../../src/firewall/pf/layout.ts';
import { type SdpLine, sdp, sip } from '../scene.ts';
import { eventually } from './daemon.ts';
import { ADDRESSES, type Guest, type GuestOptions, openGuest } from './guest.ts';

/** A user agent: where its SIP and its media are. */
export interface Agent {
  readonly actor: Actor;
  readonly sip: TransportAddress;
  readonly media: TransportAddress;
  /** Names of its sockets. */
  readonly sipSocket: string;
  readonly mediaSocket: string;
}

/** ms for what has to arrive: far more than it takes, also on an emulated machine. */
export const PATIENCE = 30_000;

export interface Dialog {
  readonly callId: string;
  readonly cseq: number;
}

/** Headers that make a message too long for one packet of Ethernet. */
export const LONG: readonly string[] = Array.from(
  { length: 40 },
  (_, index) => `X-Padding-${index}: ${'x'.repeat(60)}`,
);

/** A description of one audio stream there. */
export function describeMedia({ address, port }: TransportAddress, version = 1): string {
  const line: SdpLine = { port };
  return sdp(address, [line]).replace('o=- 1 1 ', `o=- 1 ${version} `);
}

/** Waits by the machine's own clock, which an emulated one may have slower than this one's. */
export async function pauseThere({ run }: Guest, ms: number): Promise<void> {
  await run(`sleep ${ms / 1000}`);
}

export function pauseFor(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export interface Lab {
  readonly guest: Guest;
  readonly outside: Actor;
  readonly inside: Actor;
  /** A new pair of agents with sockets and ports of their own: the caller outside, the callee inside. */
  agents(family?: 4 | 6): { readonly caller: Agent; readonly callee: Agent };
  /** Rules of the shards that have these ports, as pfctl prints them: what lets through and what translates. */
  rulesAt(...ports: number[]): Promise<string[]>;
  /** pf's rules for pinholes. */
  pinholes(): Promise<string[]>;
  /** pf's states on the media ports of these agents. */
  mediaStates(...agents: Agent[]): Promise<string[]>;
  /** Packets that the kernel has handed to divert sockets since it was started. */
  diverted(): Promise<number>;
  /** Waits until a pinhole leads to this agent's media. */
  isOpen(agent: Agent): Promise<void>;
  /** Waits until neither a rule nor a state is left for these agents' media. */
  isClosed(...agents: Agent[]): Promise<void>;
  close(): Promise<void>;
}

/** As the daemon lays them out by default. */
const SHARDS = layOut([...defaults().mediaPorts], defaults().freebsd.shards);

let ports = 20_000;
let calls = 0;

export async function openLab(options: GuestOptions = {}): Promise<Lab> {
  const guest = await openGuest(options);
  const [outside, inside] = await Promise.all([
    startActor(guest.namespaces.outside),
    startActor(guest.namespaces.inside),
  ]);

  function agents(family: 4 | 6 = 4): { caller: Agent; callee: Agent } {
    const agent = (actor: Actor, side: 'outside' | 'inside'): Agent => {
      const address = ADDRESSES[side][family];
      ports += 10;
      const media = { address, port: ports };
      return {
        actor,
        sip: { address, port: 5060 },
        media,
        sipSocket: `sip${media.port}`,
        mediaSocket: `media${media.port}`,
      };
    };
    return { caller: agent(outside, 'outside'), callee: agent(inside, 'inside') };
  }

  /** To run pfctl for each of 64 shards takes half a minute where the machine is emulated. */
  async function rulesAt(...ports: number[]): Promise<string[]> {
    const shards = new Set(ports.map((port) => SHARDS.names[SHARDS.shardOf(port)]));
    const text = await guest.run(
      `for s in ${[...shards].join(' ')}; do pfctl -q -a pinholed/$s -s nat; pfctl -q -a pinholed/$s -sr; done 2>/dev/null; true`,
    );
    const named = ports.map((port) => new RegExp(`\\b${port}\\b`));
    return text.split('\n').filter((line) => named.some((port) => port.test(line)));
  }

  /** All of them at once: below each of the anchor's own rules, of which four lead to a shard. */
  async function pinholes(): Promise<string[]> {
    const text = await guest.run(
      `pfctl -q -a 'pinholed/*' -sr 2>/dev/null | grep '^ *pass quick ' | awk '!seen[$0]++'; true`,
    );
    return text.split('\n').flatMap((line) => (line === '' ? [] : line.trim()));
  }

  async function mediaStates(...ofAgents: Agent[]): Promise<string[]> {
    const text = await guest.run('pfctl -q -ss');
    const wanted = ofAgents.map(({ media }) => new RegExp(`[:[]${media.port}\\b`));
    return text.split('\n').filter((line) => wanted.some((pattern) => pattern.test(line)));
  }

  async function diverted(): Promise<number> {
    return Number(await guest.run("netstat -s -p divert | awk '/successfully diverted/{print $1}'"));
  }

  const isOpen = ({ media }: Agent) =>
    eventually(async () => (await pinholes()).some((rule) => rule.includes(` ${media.port}`)));

  async function isClosed(...ofAgents: Agent[]): Promise<void> {
    await eventually(async () => (await mediaStates(...ofAgents)).length === 0, 30_000);
    const left = (await pinholes()).filter((rule) =>
      ofAgents.some(({ media }) => rule.includes(`${media.port}`)),
    );
    assert.deepEqual(left, []);
  }

  return {
    guest,
    outside,
    inside,
    agents,
    rulesAt,
    pinholes,
    mediaStates,
    diverted,
    isOpen,
    isClosed,
    async close() {
      outside.close();
      inside.close();
      await guest.close();
    },
  };
}

/** Opens an agent's sockets. */
export async function open({ actor, sip, media, sipSocket, mediaSocket }: Agent): Promise<void> {
  await actor.run([udp(sipSocket, sip), udp(mediaSocket, media)]);
}

/** Closes them. */
export async function shut({ actor, sipSocket, mediaSocket }: Agent): Promise<void> {
  await actor.run([close(sipSocket), close(mediaSocket)]);
}

/** A call that is up: INVITE, 200, ACK over UDP. Media goes ahead of the 200 and after it, both ways. */
export async function setUp(caller: Agent, callee: Agent, headers: readonly string[] = []): Promise<Dialog> {
  const dialog = await agree(caller, callee, headers, (...steps) => steps);
  await callee.actor.run([expect(callee.mediaSocket, 'first', PATIENCE)]);
  return dialog;
}

/** As `setUp`, and nobody sends media. */
export function setUpSilently(
  caller: Agent,
  callee: Agent,
  headers: readonly string[] = [],
): Promise<Dialog> {
  return agree(caller, callee, headers, () => []);
}

/** `media`: which of these steps are taken. */
async function agree(
  caller: Agent,
  callee: Agent,
  headers: readonly string[],
  media: (...steps: Step[]) => Step[],
): Promise<Dialog> {
  const callId = `call-${++calls}-${process.pid}@example.com`;
  const invite = sip('INVITE', { callId, headers, body: describeMedia(caller.media) });
  const ok = sip('200 INVITE', { callId, headers, to: 'b', body: describeMedia(callee.media) });
  const ack = sip('ACK', { callId, to: 'b' });
  await Promise.all([
    callee.actor.run([
      expect(callee.sipSocket, invite, PATIENCE),
      ...media(send(callee.mediaSocket, caller.media, 'early')),
      send(callee.sipSocket, caller.sip, ok),
      expect(callee.sipSocket, ack, PATIENCE),
    ]),
    caller.actor.run([
      send(caller.sipSocket, callee.sip, invite),
      ...media(expect(caller.mediaSocket, 'early', PATIENCE)),
      expect(caller.sipSocket, ok, PATIENCE),
      ...media(send(caller.mediaSocket, callee.media, 'first')),
      send(caller.sipSocket, callee.sip, ack),
    ]),
  ]);
  return { callId, cseq: 1 };
}

/** BYE from the caller, and its 200. */
export async function hangUp(caller: Agent, callee: Agent, { callId, cseq }: Dialog): Promise<void> {
  const bye = sip('BYE', { callId, to: 'b', cseq: cseq + 1 });
  const ok = sip('200 BYE', { callId, to: 'b', cseq: cseq + 1 });
  await Promise.all([
    callee.actor.run([expect(callee.sipSocket, bye, PATIENCE), send(callee.sipSocket, caller.sip, ok)]),
    caller.actor.run([send(caller.sipSocket, callee.sip, bye), expect(caller.sipSocket, ok, PATIENCE)]),
  ]);
}

/** Whether a datagram from a socket of one agent gets to the media socket of the other. */
export async function passes(from: Actor, socket: string, to: Agent, target = to.media): Promise<boolean> {
  const text = `probe ${Math.random()}`;
  await to.actor.run([take(to.mediaSocket)]);
  await from.run([send(socket, target, text)]);
  const arrivals = await to.actor.run([pause(1000), take(to.mediaSocket)]);
  return textsAt(arrivals, to.mediaSocket).includes(text);
}

/** Both ways between two agents whose call is up. */
export async function mediaPasses(a: Agent, b: Agent): Promise<boolean> {
  return (await passes(a.actor, a.mediaSocket, b)) && (await passes(b.actor, b.mediaSocket, a));
}
