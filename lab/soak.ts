/**
 * Many hours of calls in simulated time: honest ones that end in every way there is, and peers that are not honest. What
 * is counted is what is left when all of them are over: calls, pinholes, rules, open flows, timers.
 */
import { defaults } from '../src/config/schema.ts';
import { createModelFirewall } from '../src/firewall/model.ts';
import { readRecord, writeCall } from '../src/inspector/record.ts';
import { createInspector, type Inspection } from '../src/inspector.ts';
import type { Flow } from '../src/pinhole/opening.ts';
import { udpPacket } from '../test/packets.ts';
import { type Host, host, LAN, networks, routerOf, sdp, sip, WAN } from '../test/scene.ts';

export interface SoakOptions {
  readonly seed: number;
  /** Simulated hours in which calls begin. */
  readonly hours: number;
  readonly callsPerHour: number;
  /** Packets say that they were made on this machine: what forged sources do where nothing speaks against them. */
  readonly believed?: boolean;
  /** Times an hour that the settings are read again, and that the daemon is killed and another takes up its journal. */
  readonly reloads?: number;
  readonly kills?: number;
}

export interface SoakResult {
  readonly calls: number;
  readonly packets: number;
  readonly pinholesOpened: number;
  readonly pinholesClosed: number;
  /** Most at a time. */
  readonly mostCalls: number;
  readonly mostPinholes: number;
  /** By how the script was meant to go. */
  readonly kinds: Readonly<Record<string, number>>;
  /** Media of the honest that did not pass. */
  readonly lost: number;
  /** Packets of strangers that passed while calls went on. */
  readonly strangers: number;
  /** Packets of the other party that passed longer than 33 s after the PBX had hung up. */
  readonly outlived: number;
  readonly reloads: number;
  readonly kills: number;
  /** Pinholes that a daemon which took up a journal had too many, or too few, or that the packet filter had otherwise. */
  readonly misremembered: number;
  readonly left: {
    readonly calls: number;
    readonly pinholes: number;
    readonly rules: number;
    /** Flows of ended calls by which a packet from outside still passes. */
    readonly flows: number;
    /** Something is due, although nothing is there. */
    readonly timers: number;
  };
}

const PBX = host('10.0.0.10');
const PHONE = host('10.0.0.11');
const PROVIDERS = [host('198.51.100.20'), host('198.51.100.21')] as const;
const STRANGER = host('203.0.113.66');
const INGRESS = routerOf('10.0.0.0/8');
/** INVITEs of one flood, each from another forged address. */
const FLOOD = 200;
const HOUR = 3_600_000;
/** More than any call may last. */
const AFTERWARDS = 26 * HOUR;

type Script = Generator<number, void>;

/** Runs it. The same seed gives the same calls. */
export function soak(options: SoakOptions): SoakResult {
  const {
    seed,
    hours,
    callsPerHour,
    believed = false,
    reloads: reloadsPerHour = 0,
    kills: killsPerHour = 0,
  } = options;
  const random = generator(seed);
  let settings = { ...defaults(), inside: networks('10.0.0.0/8') };
  let inspector = createInspector(() => settings);
  inspector.learn(INGRESS);
  const firewall = createModelFirewall({ egress: ({ source }) => source.startsWith('10.') });
  const agenda = createAgenda();
  const kinds: Record<string, number> = {};
  const flows: { readonly peer: Host; readonly media: number; readonly port: number }[] = [];
  let [now, calls, packets, opened, closed, mostCalls, mostPinholes, lost, strangers, outlived] = [
    1_000_000, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  ];
  let [reloads, kills, misremembered] = [0, 0, 0];
  const start = now;

  function apply({ change }: Inspection): void {
    if (change === null) return;
    opened += change.open.length;
    closed += change.close.length;
    firewall.commit(change);
    firewall.retire({ closed: change.close });
  }

  /** Other timers each time, of those that only decide how long who gives no answer is waited for. */
  function reload(): void {
    reloads++;
    const { ringing } = defaults().timers;
    settings = {
      ...settings,
      timers: { ...settings.timers, ringing: reloads % 2 === 0 ? ringing : ringing + 60_000 },
    };
    inspector.reload();
    apply(inspector.tick(now));
  }

  /** Another daemon has the bytes of the journal, and what the packet filter still holds. */
  function kill(): void {
    kills++;
    apply(inspector.tick(now));
    const scribe = { machine: '50a050a0', boot: 'one', now: () => now, wall: () => now };
    const journal = [...inspector.calls()].map(({ legId }) => writeCall(inspector.dump(legId)!, scribe));
    const before = [...inspector.pinholes()].map(({ id }) => id);
    inspector = createInspector(() => settings);
    inspector.learn(INGRESS);
    const records = journal.map((bytes) => readRecord(bytes, scribe));
    misremembered += records.filter(({ what }) => what !== 'call').length;
    for (const read of records) if (read.what === 'call') apply(inspector.adopt([read.record], now));
    const after = [...inspector.pinholes()];
    const { missing, strange } = firewall.compare(after);
    const ids = new Set(after.map(({ id }) => id));
    misremembered += missing.length + strange.length + before.filter((id) => !ids.has(id)).length;
  }

  function* every(ms: number, act: () => void): Script {
    while (now + ms < start + hours * HOUR) {
      yield ms;
      act();
    }
  }

  function say(
    from: Host,
    to: Host,
    text: string,
    entered = from.address.startsWith('10.') ? LAN : WAN,
  ): void {
    packets++;
    apply(inspector.inspect(udpPacket(from, to, text), now, believed ? null : entered));
  }

  /** Whether a media packet passes now. */
  function media(from: string, fromPort: number, to: string, toPort: number): boolean {
    const flow: Flow = {
      ...{ protocol: 'udp' as const, source: from, sourcePort: fromPort },
      ...{ destination: to, destinationPort: toPort },
    };
    const answer = firewall.ask(flow, 172, now);
    if (answer.pinhole !== null) inspector.traffic(answer.pinhole, now);
    return answer.passes;
  }

  function* call(kind: string): Script {
    const id = `soak-${++calls}@example.com`;
    const peer = PROVIDERS[Math.floor(random() * PROVIDERS.length)]!;
    const inbound = random() < 0.5;
    const [caller, callee] = inbound ? [peer, PBX] : [PBX, peer];
    // Of no other call within ten thousand.
    const port = 10_000 + 2 * (calls % 10_000);
    const theirs = 30_000 + 2 * Math.floor(random() * 5000);
    const offer = sdp(caller.address, [inbound ? theirs : port]);
    const answer = sdp(callee.address, [inbound ? port : theirs]);
    const ask = (start: string, more = {}) => say(caller, callee, sip(start, { callId: id, ...more }));
    const reply = (start: string, more = {}) =>
      say(callee, caller, sip(start, { callId: id, to: 'b', ...more }));
    const talk = (honest = true) => {
      const there = media(PBX.address, port, peer.address, theirs);
      const back = media(peer.address, theirs, PBX.address, port);
      if (honest && !(there && back)) lost++;
      if (media(STRANGER.address, theirs, PBX.address, port)) strangers++;
    };
    flows.push({ peer, media: theirs, port });
    ask('INVITE', { body: offer });
    yield 100;
    reply('100 INVITE');
    if (kind === 'never-answered') return;
    if (kind === 'refused') {
      reply('486 INVITE');
      ask('ACK', { to: 'b' });
      return;
    }
    if (kind === 'cancelled') {
      yield 2000;
      reply('180 INVITE');
      ask('CANCEL');
      reply('200 CANCEL');
      reply('487 INVITE');
      ask('ACK', { to: 'b' });
      return;
    }
    reply('180 INVITE');
    yield 3000;
    if (kind === 'forked') say(callee, caller, sip('200 INVITE', { callId: id, to: 'c', body: answer }));
    reply('200 INVITE', { body: answer });
    yield 50;
    ask('ACK', { to: 'b' });
    const lasts = 5 + Math.floor(random() * 60);
    for (let at = 0; at < lasts; at++) {
      talk();
      yield 1000;
    }
    if (kind === 'late-fork') {
      yield 40_000;
      const named = sdp(STRANGER.address, [theirs]);
      say(callee, caller, sip('200 INVITE', { callId: id, to: `evil${id}`, body: inbound ? answer : named }));
      talk();
    }
    if (kind === 'moved') {
      const body = sdp(caller.address, [inbound ? theirs + 2 : port]);
      ask('INVITE', { to: 'b', cseq: 2, body });
      yield 100;
      reply('200 INVITE', { cseq: 2, body: answer });
      ask('ACK', { to: 'b', cseq: 2 });
      yield 2000;
    }
    if (kind === 'silent') return;
    ask('BYE', { to: 'b', cseq: 9 });
    yield 100;
    if (kind === 'bye-unanswered') return;
    if (kind === 'challenged') {
      for (let minute = 0; minute < 30; minute++) {
        reply('401 BYE', { cseq: 9 });
        yield 60_000;
        if (!inbound && media(peer.address, theirs, PBX.address, port)) outlived++;
      }
      return;
    }
    reply('200 BYE', { cseq: 9 });
    yield 33_000;
    if (!inbound && media(peer.address, theirs, PBX.address, port)) outlived++;
    if (media(STRANGER.address, theirs, PBX.address, port)) strangers++;
  }

  function* stranger(): Script {
    const id = `stranger-${++calls}@example.com`;
    const target = 1024 + Math.floor(random() * 60_000);
    const asked = sip('INVITE', { callId: id, body: sdp(PBX.address, [target]) });
    say(STRANGER, PBX, asked);
    yield 10;
    say(STRANGER, PBX, sip('200 INVITE', { callId: id, to: 'z', body: sdp(PBX.address, [target]) }));
    yield 10;
    if (media(STRANGER.address, 4000, PBX.address, target)) strangers++;
  }

  /** Blind: both parties of a call inside, its answer naming the stranger; then one between the PBX and the stranger. */
  function* forger(): Script {
    const id = `forged-${++calls}@example.com`;
    const target = 1024 + Math.floor(random() * 60_000);
    const [body, named] = [sdp(PBX.address, [target]), sdp(STRANGER.address, [4000])];
    say(PBX, PHONE, sip('INVITE', { callId: id, body }), WAN);
    yield 10;
    say(PHONE, PBX, sip('200 INVITE', { callId: id, to: 'z', body: named }), WAN);
    yield 10;
    if (media(STRANGER.address, 4000, PBX.address, target)) strangers++;
    const other = `forged-too-${calls}@example.com`;
    say(STRANGER, PBX, sip('INVITE', { callId: other, body: named }));
    yield 10;
    say(PBX, STRANGER, sip('200 INVITE', { callId: other, to: 'z', body }), WAN);
    yield 10;
    if (media(STRANGER.address, 4000, PBX.address, target)) strangers++;
  }

  /** Within a second, each from an address that nobody has seen before; the PBX tries to answer some. */
  function* flood(): Script {
    const id = `flood-${++calls}`;
    for (let at = 0; at < FLOOD; at++) {
      const from = host(`100.${64 + Math.floor(random() * 64)}.${at}.${1 + Math.floor(random() * 250)}`);
      const one = { callId: `${id}-${at}@example.com`, from: `${at}` };
      say(from, PBX, sip('INVITE', { ...one, body: sdp(from.address, [4000]) }));
      if (at % 4 === 0) say(PBX, from, sip('100 INVITE', one));
      yield 5;
    }
  }

  function scriptOf(kind: string): Script {
    if (kind === 'stranger') return stranger();
    if (kind === 'forger') return forger();
    return kind === 'flood' ? flood() : call(kind);
  }

  for (let at = 0; at < hours * callsPerHour; at++) {
    const kind = KINDS[Math.floor(random() * KINDS.length)]!;
    kinds[kind] = (kinds[kind] ?? 0) + 1;
    agenda.add(now + random() * hours * HOUR, scriptOf(kind));
  }
  if (reloadsPerHour > 0) agenda.add(now, every(HOUR / reloadsPerHour, reload));
  if (killsPerHour > 0) agenda.add(now, every(HOUR / killsPerHour, kill));
  for (let next = agenda.take(); next !== null; next = agenda.take()) {
    now = Math.max(now, next.at);
    if (inspector.nextDeadline() <= now) apply(inspector.tick(now));
    const { value, done } = next.script.next();
    if (done !== true) agenda.add(now + value, next.script);
    const sizes = inspector.sizes();
    mostCalls = Math.max(mostCalls, sizes.calls);
    mostPinholes = Math.max(mostPinholes, sizes.pinholes);
  }
  for (const end = now + AFTERWARDS; inspector.nextDeadline() <= end; ) {
    now = Math.max(now, inspector.nextDeadline());
    apply(inspector.tick(now));
  }
  const passing = flows.filter(({ peer, media: theirs, port }) =>
    media(peer.address, theirs, PBX.address, port),
  );
  return {
    ...{ calls, packets, pinholesOpened: opened, pinholesClosed: closed, mostCalls, mostPinholes },
    ...{ kinds, lost, strangers, outlived, reloads, kills, misremembered },
    left: {
      ...inspector.sizes(),
      rules: firewall.list().length,
      flows: passing.length,
      timers: inspector.nextDeadline() === Number.POSITIVE_INFINITY ? 0 : 1,
    },
  };
}

/** How a call goes; honest ones come several times. */
const KINDS = [
  ...['answered', 'answered', 'answered', 'answered', 'refused', 'cancelled', 'moved', 'forked', 'silent'],
  ...['bye-unanswered', 'never-answered', 'late-fork', 'challenged', 'stranger', 'forger', 'flood'],
] as const;

/** xorshift32, 0 to 1. */
function generator(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

interface Due {
  readonly at: number;
  readonly script: Script;
}

/** What is to come, the earliest first: a binary heap. */
function createAgenda() {
  const heap: Due[] = [];
  const swap = (one: number, other: number) => {
    [heap[one], heap[other]] = [heap[other]!, heap[one]!];
  };
  return {
    add(at: number, script: Script): void {
      let index = heap.push({ at, script }) - 1;
      for (let parent = (index - 1) >> 1; index > 0 && heap[parent]!.at > at; parent = (index - 1) >> 1) {
        swap(index, parent);
        index = parent;
      }
    },
    take(): Due | null {
      const first = heap[0];
      const last = heap.pop();
      if (first === undefined || last === undefined) return null;
      if (heap.length === 0) return first;
      heap[0] = last;
      for (let index = 0; ; ) {
        const left = 2 * index + 1;
        let least = index;
        for (const child of [left, left + 1]) {
          if (child < heap.length && heap[child]!.at < heap[least]!.at) least = child;
        }
        if (least === index) return first;
        swap(index, least);
        index = least;
      }
    },
  };
}
