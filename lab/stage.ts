import assert from 'node:assert/strict';
import type { Address, TransportAddress } from '../src/address/address.ts';
import { sip } from '../test/scene.ts';
import { type KernelState, kernelState } from './kernel.ts';
import {
  type Arrival,
  accept,
  connect,
  expect,
  listen,
  raw,
  type Step,
  send,
  take,
  textsAt,
  udp,
  write,
} from './steps.ts';
import { addressOf, HOSTS, type HostName, relayAddress, type Topology } from './topology.ts';

/** What happens on the wire, in this order. What one host does next, it does in the next system call. */
export type Event =
  /** A SIP message that has to arrive, byte for byte. */
  | { readonly type: 'say'; readonly from: HostName; readonly to: HostName; readonly text: string }
  /** A media packet that has to arrive, or must not. */
  | {
      readonly type: 'media';
      readonly from: HostName;
      readonly source: TransportAddress;
      readonly to: HostName;
      readonly destination: TransportAddress;
      readonly passes: boolean;
    }
  /** A datagram on the SIP port that has to arrive, whoever sent it. */
  | { readonly type: 'hears'; readonly to: HostName; readonly text: string }
  /** A packet as it stands, from any source. */
  | { readonly type: 'raw'; readonly from: HostName; readonly packet: Buffer };

export interface Stage {
  readonly client: TransportAddress;
  readonly server: TransportAddress;
  readonly gateway: TransportAddress;
  readonly stranger: TransportAddress;
  readonly relay: Address;
  /** What a host announces as its own: the client its external address, where it has one. */
  announces(host: HostName): Address;
  say(from: HostName, to: HostName, text: string): Event;
  /** `from` and `to` are a host, or `relay`, with a port: `client:4000`. */
  passes(from: string, to: string): Event;
  blocked(from: string, to: string): Event;
  raw(from: HostName, packet: Buffer): Event;
  hears(to: HostName, text: string): Event;
  /** Plays events and checks that exactly what should arrive did, wherever it was sent to. */
  play(...events: readonly Event[]): Promise<void>;
  /** Sends a media packet now. Does it arrive? */
  probe(from: string, to: string): Promise<boolean>;
  kernel(): KernelState;
}

/** Where events are played: a topology, or as much of one as the events need. */
export interface Theatre extends Pick<Topology, 'firewall'> {
  readonly actors: Readonly<Partial<Topology['actors']>>;
}

/** How a message is cut into segments. */
export type Split = (text: string) => readonly string[];

export interface StageOptions {
  readonly family: 4 | 6;
  /** Signalling between client and server over TCP, cut like this; UDP otherwise. */
  readonly split?: Split;
  /** What the client is seen as by the others, where there is NAT between; `behind`: and these, with their media. */
  readonly external?: Address;
  readonly behind?: readonly HostName[];
}

const SIP_PORT = 5060;
/** Sockets stay open in the actors: each is opened once for each topology. */
const opened = new WeakMap<Theatre, Set<string>>();
let fences = 0;
let packets = 0;
let connections = 0;

export async function createStage(
  topology: Theatre,
  { family, split, external, behind = ['client'] }: StageOptions,
): Promise<Stage> {
  const hosts = HOSTS.filter((host) => topology.actors[host] !== undefined);
  const actors = topology.actors as Topology['actors'];
  const at = (host: HostName): TransportAddress => ({ address: addressOf(host, family), port: SIP_PORT });
  /** Where others send to. */
  const seen = (host: HostName, address: Address): Address =>
    external !== undefined && behind.includes(host) ? external : address;
  const seenAt = (host: HostName): TransportAddress =>
    host === 'client' ? { ...at(host), address: seen(host, at(host).address) } : at(host);
  const known = opened.get(topology) ?? new Set<string>();
  opened.set(topology, known);
  const connection = `tcp${++connections}`;

  /** The step that opens a socket, unless it is open. */
  function opening(host: HostName, socket: string, own: TransportAddress): Step[] {
    const name = `${host} ${socket}`;
    if (known.has(name)) return [];
    known.add(name);
    return [udp(socket, own)];
  }

  const sipSocket = `sip${family}`;
  const mediaSocket = ({ address, port }: TransportAddress) => `${address} ${port}`;

  if (split !== undefined) {
    const from = { ...at('client'), port: 20_000 + connections };
    const name = `server listener${family}`;
    if (!known.has(name)) {
      known.add(name);
      await actors.server.run([listen(`listener${family}`, at('server'))]);
    }
    await Promise.all([
      actors.client.run([connect(connection, from, at('server'))]),
      actors.server.run([accept(connection, `listener${family}`)]),
    ]);
  }

  function endpoint(text: string): { host: HostName; own: TransportAddress } {
    const [name, port] = text.split(':') as [HostName | 'relay', string];
    const host = name === 'relay' ? 'server' : name;
    const address = name === 'relay' ? relayAddress(family) : addressOf(name, family);
    return { host, own: { address, port: Number(port) } };
  }

  function media(from: string, to: string, passes: boolean): Event {
    const { host, own } = endpoint(from);
    const target = endpoint(to);
    return { type: 'media', from: host, source: own, to: target.host, destination: target.own, passes };
  }

  /** What is to be blocked is over before what follows: a packet that passes would make it a reply. */
  async function play(...events: readonly Event[]): Promise<void> {
    let begin = 0;
    for (let end = 1; end <= events.length; end++) {
      const next = events[end];
      if (next !== undefined && (!isBlocked(events[end - 1]!) || isBlocked(next))) continue;
      await perform(events.slice(begin, end));
      begin = end;
    }
  }

  async function perform(events: readonly Event[]): Promise<void> {
    const steps = Object.fromEntries(hosts.map((host) => [host, [] as Step[]])) as Record<HostName, Step[]>;
    const first = Object.fromEntries(hosts.map((host) => [host, [] as Step[]])) as Record<HostName, Step[]>;
    const due = new Map<string, string[]>();
    const fenced = new Set<string>();
    const open = (host: HostName, socket: string, own: TransportAddress) =>
      first[host].push(...opening(host, socket, own));
    const overTcp = (from: HostName, to: HostName) =>
      split !== undefined && [from, to].every((host) => host === 'client' || host === 'server');

    function say(from: HostName, to: HostName, text: string): void {
      if (overTcp(from, to)) {
        steps[from].push(...split!(text).map((piece) => write(connection, piece)));
        steps[to].push(expect(connection, text));
        return;
      }
      open(from, sipSocket, at(from));
      open(to, sipSocket, at(to));
      steps[from].push(send(sipSocket, seenAt(to), text));
      steps[to].push(expect(sipSocket, text));
    }

    for (const event of events) {
      if (event.type === 'say') {
        say(event.from, event.to, event.text);
      } else if (event.type === 'hears') {
        open(event.to, sipSocket, at(event.to));
        steps[event.to].push(expect(sipSocket, event.text));
      } else if (event.type === 'raw') {
        steps[event.from].push(raw(event.packet));
        for (const to of hosts) if (to !== event.from) fenced.add(`${event.from} ${to}`);
      } else {
        const { from, source, to, destination, passes } = event;
        const text = `media ${++packets}`;
        open(from, mediaSocket(source), source);
        open(to, mediaSocket(destination), destination);
        const target = { ...destination, address: seen(to, destination.address) };
        steps[from].push(send(mediaSocket(source), target, text));
        if (passes) {
          steps[to].push(expect(mediaSocket(destination), text));
          const name = `${to} ${mediaSocket(destination)}`;
          due.set(name, [...(due.get(name) ?? []), text]);
        } else {
          fenced.add(`${from} ${to}`);
        }
      }
    }
    // SIP takes the longer way: when it has arrived, so has what was sent before it, if it was let through.
    for (const pair of fenced) {
      const [from, to] = pair.split(' ') as [HostName, HostName];
      const fence = sip('OPTIONS', { callId: `fence-${++fences}@example.com` });
      open(from, sipSocket, at(from));
      open(to, sipSocket, at(to));
      steps[from].push(send(sipSocket, seenAt(to), fence));
      steps[to].push(expect(sipSocket, fence));
    }
    await Promise.all(hosts.map((host) => actors[host].run(first[host])));
    const arrivals = await Promise.all(hosts.map((host) => actors[host].run(steps[host])));
    const rest = await Promise.all(hosts.map((host) => actors[host].run(takeMedia(host))));
    for (const [index, host] of hosts.entries()) {
      const all: Arrival[] = [...arrivals[index]!, ...rest[index]!];
      for (const socket of mediaSockets(host)) {
        assert.deepEqual(
          textsAt(all, socket).sort(),
          (due.get(`${host} ${socket}`) ?? []).sort(),
          `${host} ${socket}`,
        );
      }
    }
  }

  async function probe(from: string, to: string): Promise<boolean> {
    const event = media(from, to, true);
    if (event.type !== 'media') return false;
    const { from: sender, source, to: receiver, destination } = event;
    const text = `probe ${++packets}`;
    const fence = sip('OPTIONS', { callId: `fence-${++fences}@example.com` });
    const socket = mediaSocket(destination);
    await actors[sender].run([
      ...opening(sender, mediaSocket(source), source),
      ...opening(sender, sipSocket, at(sender)),
    ]);
    await actors[receiver].run([
      ...opening(receiver, socket, destination),
      ...opening(receiver, sipSocket, at(receiver)),
    ]);
    const [, arrivals] = await Promise.all([
      actors[sender].run([
        send(mediaSocket(source), { ...destination, address: seen(receiver, destination.address) }, text),
        send(sipSocket, seenAt(receiver), fence),
      ]),
      actors[receiver].run([expect(sipSocket, fence), take(socket)]),
    ]);
    return textsAt(arrivals, socket).includes(text);
  }

  function mediaSockets(host: HostName): string[] {
    return [...known]
      .filter((name) => name.startsWith(`${host} `))
      .map((name) => name.slice(host.length + 1))
      .filter((socket) => socket.includes(' '));
  }

  function takeMedia(host: HostName): Step[] {
    return mediaSockets(host).map(take);
  }

  return {
    client: at('client'),
    server: at('server'),
    gateway: at('gateway'),
    stranger: at('stranger'),
    relay: relayAddress(family),
    announces: (host) => seen(host, at(host).address),
    say: (from, to, text) => ({ type: 'say', from, to, text }),
    passes: (from, to) => media(from, to, true),
    blocked: (from, to) => media(from, to, false),
    raw: (from, packet) => ({ type: 'raw', from, packet }),
    hears: (to, text) => ({ type: 'hears', to, text }),
    play,
    probe,
    kernel: () => kernelState(topology),
  };
}

/** Cuts a message at these places; those outside it are none. */
function cut(text: string, places: readonly number[]): string[] {
  const inside = [...new Set(places)]
    .filter((place) => place > 0 && place < text.length)
    .sort((a, b) => a - b);
  return [0, ...inside].map((place, index) => text.slice(place, inside[index]));
}

function allOf(text: string, part: string, offset: number): number[] {
  const places: number[] = [];
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + 1)) places.push(at + offset);
  return places;
}

/** Every kind of place where TCP may cut a SIP message. */
export const splits: Readonly<Record<string, Split>> = {
  'not at all': (text) => [text],
  'after every byte': (text) => [...text],
  'in the start line': (text) => cut(text, [3]),
  'between CR and LF of every line': (text) => cut(text, allOf(text, '\r\n', 1)),
  'between lines': (text) => cut(text, allOf(text, '\r\n', 2)),
  'in the name and in the value of Content-Length': (text) =>
    cut(text, [text.indexOf('Content-Length') + 8, text.indexOf('Content-Length: ') + 17]),
  'in the middle of the empty line': (text) =>
    cut(
      text,
      [1, 2, 3].map((n) => text.indexOf('\r\n\r\n') + n),
    ),
  'between headers and body': (text) => cut(text, [text.indexOf('\r\n\r\n') + 4]),
  'in the m= line': (text) => cut(text, [text.indexOf('m=audio') + 10]),
  'before the last byte': (text) => cut(text, [text.length - 1]),
};

function isBlocked(event: Event): boolean {
  return event.type === 'media' && !event.passes;
}
