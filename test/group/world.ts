import assert from 'node:assert/strict';
import { defaults } from '../../src/config/schema.ts';
import { isOver } from '../../src/daemon/peers/stamp.ts';
import { type Host, host, networks, sdp, sip } from '../scene.ts';
import { createFirewalls, type Journal, type Member } from './firewalls.ts';
import { createShelf } from './memory-store.ts';

/** What may happen to a group. `which` and `how` are any numbers. */
export interface Act {
  readonly what: (typeof ACTS)[number];
  readonly which: number;
  readonly how: number;
}

export const ACTS = [
  'message',
  'again',
  'turn',
  'deliver',
  'loop',
  'settle',
  'kill',
  'start',
  'cut',
  'join',
  'away',
  'back',
  'flush',
  'snapshot',
  'restore',
  'pass',
  'wall',
  'reload',
  'hand-over',
  'media',
] as const;

/** A group of firewalls, its store and the calls through them. */
export interface World {
  act(act: Act): Promise<void>;
  /** Everything is there again and quiet; what has to be so is looked at. */
  finish(): Promise<void>;
  end(): Promise<void>;
}

const CALLS = 3;
const TRUNK = host('198.51.100.20');
const TIMERS = { ...defaults().timers, drain: 0, ringing: 60_000, mediaIdle: 240_000, maxCall: 600_000 };
/** ms after which a store is tried again at the latest. */
const RETRY = 6000;

/** What one call says, in order. */
function script(call: number): readonly { readonly from: Host; readonly to: Host; readonly text: string }[] {
  const phone = host(`192.0.2.${10 + call}`);
  const callId = `call-${call}@example.com`;
  const body = (port: number) => sdp(phone.address, [port + 100 * call]);
  const answer = sdp(TRUNK.address, [6000 + 100 * call]);
  const out = (text: string) => ({ from: phone, to: TRUNK, text });
  const back = (text: string) => ({ from: TRUNK, to: phone, text });
  return [
    out(sip('INVITE', { callId, body: body(4000) })),
    back(sip('180 INVITE', { callId, to: 'b' })),
    back(sip('200 INVITE', { callId, to: 'b', body: answer })),
    out(sip('ACK', { callId, to: 'b' })),
    out(sip('INVITE', { callId, to: 'b', cseq: 2, body: body(4020) })),
    back(sip('200 INVITE', { callId, to: 'b', cseq: 2, body: answer })),
    out(sip('ACK', { callId, to: 'b', cseq: 2 })),
    out(sip('BYE', { callId, to: 'b', cseq: 3 })),
    back(sip('200 BYE', { callId, to: 'b', cseq: 3 })),
  ];
}

const SCRIPTS = Array.from({ length: CALLS }, (_, call) => script(call));
/** What the hosts inside have said that they listen at; nothing else may ever be open. */
const ANNOUNCED = new Set(
  SCRIPTS.flatMap((_, call) => [4000, 4020].map((base) => portsOf(call, base + 100 * call))),
);

function portsOf(call: number, port: number): string {
  return `192.0.2.${10 + call} ${port}-${port + 1}`;
}

/** The same numbers for the same seed (mulberry32). */
function createDice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % sides;
  };
}

export function createWorld(count: number, seed: number): World {
  const roll = createDice(seed);
  const shelf = createShelf(() => roll(4));
  const firewalls = createFirewalls(shelf);
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const alive = new Map<number, Member>();
  /** What the dead have left. */
  const journals = new Map<number, Journal>();
  /** How far each call has come. */
  const said = SCRIPTS.map(() => 0);
  /** Legs that a member has seen hung up, in the life that it has now. */
  const hungUp = new Map<Member, Set<string>>();
  const snapshots: (() => void)[] = [];
  const handOvers: Promise<unknown>[] = [];
  let passed = 0;
  const startedAt = SCRIPTS.map(() => Number.NaN);

  for (const number of numbers) start(number);

  function start(number: number): void {
    const settings = { inside: networks('192.0.2.0/24'), timers: TIMERS };
    const journal = journals.get(number) ?? new Map();
    const member = firewalls.member(number, settings, { journal, manual: true });
    alive.set(number, member);
    hungUp.set(member, new Set());
  }

  function someone(which: number): Member | null {
    const members = [...alive.values()];
    return members[which % Math.max(1, members.length)] ?? null;
  }

  function say(call: number, at: number, how: number): void {
    const message = SCRIPTS[call]![at];
    const member = someone(how);
    if (message === undefined || member === null) return;
    if (at === 0 && Number.isNaN(startedAt[call])) startedAt[call] = passed;
    member.send(message.from, message.to, message.text);
  }

  async function loop(turns: number): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  async function act({ what, which, how }: Act): Promise<void> {
    await does(what, which, how);
    look();
  }

  async function does(what: Act['what'], which: number, how: number): Promise<void> {
    const call = which % CALLS;
    const number = numbers[which % count]!;
    const member = someone(which);
    switch (what) {
      case 'message':
        say(call, said[call]!, how);
        if (alive.size > 0) said[call]!++;
        return;
      case 'again':
        if (said[call]! > 0) say(call, Math.max(0, said[call]! - 1 - (Math.floor(how / 8) % 4)), how);
        return;
      case 'turn':
        member?.turn();
        return;
      case 'deliver':
        member?.deliver();
        return;
      case 'loop':
        return await loop(1 + (how % 8));
      case 'settle':
        return await firewalls.settle();
      case 'kill': {
        const victim = alive.get(number);
        if (victim === undefined) return;
        alive.delete(number);
        if (how % 3 === 0) journals.delete(number);
        else journals.set(number, victim.journal);
        await victim.kill();
        if (how % 2 === 0) shelf.forget(victim.machine);
        return;
      }
      case 'start':
        if (!alive.has(number)) start(number);
        return;
      case 'cut':
        if (member !== null) shelf.cut.add(member.store);
        return;
      case 'join':
        if (member !== null) shelf.cut.delete(member.store);
        return;
      case 'away':
        shelf.away = true;
        return;
      case 'back':
        shelf.away = false;
        return;
      case 'flush':
        shelf.flush();
        return;
      case 'snapshot':
        snapshots.push(shelf.snapshot());
        return;
      case 'restore':
        snapshots[how % Math.max(1, snapshots.length)]?.();
        return;
      case 'pass': {
        const ms = [1, 60, 1000, 5000, 20_000][how % 5]!;
        passed += ms;
        firewalls.skip(ms);
        return;
      }
      case 'wall':
        member?.setWall(((how % 9) - 4) * 3_600_000);
        return;
      case 'reload':
        member?.reload({});
        return;
      case 'hand-over':
        if (member !== null) handOvers.push(member.group.handOver(1000).catch(() => false));
        return;
      case 'media':
        member?.media();
        return;
    }
  }

  /** What may never be, whatever is on its way. */
  function look(): void {
    for (const [number, member] of alive) {
      assert.equal(member.faults(), 0, `fw${number} has thrown`);
      for (const one of member.open()) assert.ok(ANNOUNCED.has(one), `fw${number} has opened ${one}`);
      const over = hungUp.get(member)!;
      for (const { legId, callId, state, endReason } of member.inspector.calls()) {
        if (endReason === 'bye') over.add(legId);
        assert.ok(state === 'ended' || !over.has(legId), `fw${number} has ${legId} again, which was hung up`);
        const lasted = passed - startedAt[Number(callId.slice(5, 6))]!;
        if (endReason === 'max-duration') assert.ok(lasted >= TIMERS.maxCall - 5000, 'too soon');
        if (endReason === 'ringing-timeout') assert.ok(lasted >= TIMERS.ringing - 5000, 'too soon');
      }
    }
  }

  /** Legs that somebody knows to be hung up: a member, a journal that will be read again, or the store. */
  function knownEnds(): ReadonlySet<string> {
    const ends = new Set<string>();
    const all = [...[...alive.values()].map(({ journal }) => journal), ...journals.values()];
    for (const journal of all) {
      for (const [key, { endedAt, text }] of journal) {
        if (endedAt !== null && text.includes('"endReason":"bye"')) ends.add(key);
      }
    }
    for (const [name, { stamp }] of shelf.calls) if (stamp.phase === 2) ends.add(name);
    return ends;
  }

  async function rest(ms: number, step = 1000): Promise<void> {
    for (let rested = 0; rested < ms; rested += step) {
      firewalls.skip(step);
      passed += step;
      await firewalls.settle();
    }
  }

  async function finish(): Promise<void> {
    const ends = knownEnds();
    shelf.away = false;
    for (const member of alive.values()) shelf.cut.delete(member.store);
    for (const number of numbers) if (!alive.has(number)) start(number);
    await rest(2 * RETRY);
    const members = [...alive.values()];
    for (const { group, machine } of members) assert.equal(group.status().state, 'joined', machine);
    await agree('calls', (member) => underWay(member));
    for (let times = 0; times < 7; times++) {
      members[0]!.media();
      await rest(2000);
      await rest(10_000, 10_000);
    }
    await agree('pinholes', (member) => member.open());
    await agree('calls', (member) => underWay(member));
    for (const { inspector, machine } of members) {
      for (const legId of ends) {
        const state = inspector.call(legId)?.state ?? 'ended';
        assert.equal(state, 'ended', `${legId} was hung up and goes on at ${machine}`);
      }
    }
    for (const one of underWay(members[0]!)) {
      const kept = shelf.calls.get(one.split(' ')[1]!);
      assert.ok(kept !== undefined && !isOver(kept.stamp), `the store does not have ${one}`);
    }
    look();
    await rest(TIMERS.maxCall + 2 * TIMERS.mediaIdle, 30_000);
    for (const member of members) {
      assert.deepEqual(member.open(), [], `${member.machine} has left something`);
      assert.deepEqual(underWay(member), [], `${member.machine} has calls for ever`);
    }
    await Promise.all(handOvers);
  }

  /** Where a timer has just run out, once more a moment later. */
  async function agree(what: string, of: (member: Member) => readonly string[]): Promise<void> {
    const members = [...alive.values()];
    if (new Set(members.map((member) => of(member).join())).size > 1) await rest(3000);
    const [first, ...others] = members;
    for (const other of others) {
      assert.deepEqual(of(other), of(first!), `${what} of ${other.machine} and ${first!.machine}`);
    }
  }

  return {
    act,
    finish,
    async end() {
      for (const member of alive.values()) await member.kill();
    },
  };
}

function underWay({ inspector }: Member): string[] {
  return [...inspector.calls()]
    .flatMap(({ legId, callId, state }) => (state === 'ended' ? [] : [`${callId} ${legId} ${state}`]))
    .sort();
}
