import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Call } from '../../src/call/call.ts';
import type { Settings } from '../../src/config/load.ts';
import type { AtHand, Inheritance } from '../../src/daemon/data-path/at-hand.ts';
import { BEAT, createDataPath } from '../../src/daemon/data-path/data-path.ts';
import type { IdleCollection } from '../../src/daemon/data-path/idle-collection.ts';
import { QUIET, SOON } from '../../src/daemon/data-path/outbox.ts';
import type { Batch, DataPathReport } from '../../src/daemon/messages.ts';
import { FirewallError } from '../../src/firewall/firewall.ts';
import { type Happening, legOf } from '../../src/inspector/happening.ts';
import { InterceptError } from '../../src/intercept/interceptor.ts';
import { fingerprintOf } from '../../src/packet/fingerprint.ts';
import {
  busy,
  callOf,
  changeOf,
  createClockDouble,
  createFirewallDouble,
  createInspectorDouble,
  createInterceptorDouble,
  createPostDouble,
  pinhole,
  settingsWith,
} from './doubles.ts';

interface More {
  readonly atHand?: AtHand;
  readonly inheritance?: Inheritance;
  readonly intact?: () => boolean;
  readonly pause?: () => void;
  readonly backlog?: () => number;
  readonly collection?: IdleCollection;
}

function setUp(changes: Partial<Settings> = {}, more: More = {}) {
  const log: string[] = [];
  const clock = createClockDouble();
  const source = createInterceptorDouble(log);
  const filter = createFirewallDouble(log);
  const inspector = createInspectorDouble();
  const post = createPostDouble();
  let settings = settingsWith(changes);
  const beats: number[] = [];
  const path = createDataPath({
    ends: {
      interceptor: source.interceptor,
      firewall: { ...filter.firewall, ...(more.intact && { intact: more.intact }) },
    },
    inspector: inspector.inspector,
    settings: () => settings,
    changeSettings: (next) => {
      settings = next;
    },
    clock: clock.now,
    identity: { machine: '00000001', boot: null },
    pause(ms) {
      clock.pass(ms);
      more.pause?.();
    },
    ...(more.backlog && { backlog: more.backlog }),
    ...(more.atHand && { atHand: more.atHand }),
    ...(more.inheritance && { inheritance: more.inheritance }),
    ...(more.collection && { collection: more.collection }),
    beat: () => beats.push(clock.now()),
    nextOrder: post.nextOrder,
    post: post.post,
  });
  return { log, clock, source, filter, inspector, post, beats, path, settings: () => settings };
}

function batches(reports: readonly DataPathReport[]): Batch[] {
  return reports.filter((report) => report.type === 'batch');
}

function notes(reports: readonly DataPathReport[]): string[] {
  return batches(reports).flatMap((batch) => batch.notes.map(({ text }) => text));
}

const REFUSED: Happening = {
  type: 'refused',
  call: null,
  refusal: { reason: 'malformed-sip', detail: '' },
  transport: null,
  at: 1,
};

/** A message event as far as the loop looks at it. */
function messageOf(call: Call): Happening {
  return { type: 'message', legIds: [call.legId] } as unknown as Happening;
}

function happenings(reports: readonly DataPathReport[]): Happening[] {
  return batches(reports).flatMap(({ occasions }) => occasions.flatMap((one) => one.happenings));
}

describe('data path: order of things', () => {
  it('releases a packet only after the filter has confirmed what it asked for', () => {
    const { path, source, inspector, log } = setUp();
    inspector.opens('invite', 4000, 4002);
    source.arrive('options', 'invite', 'bye');
    path.turn();
    assert.deepEqual(log, ['release options', 'commit +[4000 4002] -[]', 'release invite', 'release bye']);
  });

  it('releases the packets of a batch one by one, each after its own change', () => {
    const { path, source, inspector, log } = setUp();
    inspector.opens('one', 4000);
    inspector.on('two', () => ({ change: changeOf([4010], [4000]) }));
    source.arrive('one', 'two');
    path.turn();
    assert.deepEqual(log, ['commit +[4000] -[]', 'release one', 'commit +[4010] -[4000]', 'release two']);
  });

  it('drops what the inspector says to drop', () => {
    const { path, source, inspector, log } = setUp();
    inspector.on('junk', () => ({ verdict: 'drop' }));
    source.arrive('junk', 'fine');
    path.turn();
    assert.deepEqual(log, ['drop junk', 'release fine']);
    assert.deepEqual([path.counters.received, path.counters.released, path.counters.dropped], [2, 1, 1]);
  });

  it('tells of closed pinholes only after the packet has gone', () => {
    const { path, source, inspector, post, log, clock } = setUp();
    inspector.opens('invite', 4000);
    inspector.on('bye', () => ({ change: changeOf([], [4000]) }));
    source.arrive('invite');
    source.arrive('bye');
    path.turn();
    path.turn();
    clock.pass(QUIET);
    path.turn();
    assert.deepEqual(log.slice(-2), ['commit +[] -[4000]', 'release bye']);
    assert.deepEqual(
      batches(post.reports).flatMap(({ closed }) => closed),
      [pinhole(4000)],
    );
  });
});

describe('data path: garbage', () => {
  it('is collected in a turn in which no packet came, for which a moment is waited where it is due', () => {
    const told: string[] = [];
    let isDue = false;
    const { path, source, clock } = setUp(
      {},
      {
        collection: {
          passed: (packets, now) => void (packets > 0 && told.push(`${packets} at ${now}`)),
          get isDue() {
            return isDue;
          },
          rest: (now) => void told.push(`rest at ${now}`),
        },
      },
    );
    clock.pass(1000);
    const began = clock.now();
    source.arrive('one', 'two');
    path.turn();
    assert.deepEqual(told.splice(0), [`2 at ${began}`]);
    path.turn();
    assert.deepEqual(told.splice(0), [`rest at ${began}`]);
    assert.deepEqual(source.timeouts.slice(-1), [BEAT]);
    isDue = true;
    path.turn();
    assert.deepEqual(source.timeouts.slice(-1), [1]);
  });
});

describe('data path: what a data path dies of', () => {
  /** Writes into `log` what is noted down. */
  const noting = (log: string[]): AtHand => ({
    take: (packets) => log.push(`take ${packets.map(({ bytes }) => bytes)}`),
    released: () => log.push('released'),
    begin: (index) => log.push(`begin ${index}`),
    done: () => log.push('done'),
  });

  it('has every packet noted down before it is looked at, until it is done with', () => {
    const notes: string[] = [];
    const { path, source, inspector, log } = setUp({}, { atHand: noting(notes) });
    inspector.on('two', () => {
      notes.push('inspect two');
      return { verdict: 'drop' };
    });
    source.arrive('one', 'two');
    path.turn();
    path.turn();
    assert.deepEqual(notes, ['take one,two', 'released', 'begin 1', 'inspect two', 'released', 'done']);
    assert.deepEqual(log, ['release one', 'drop two']);
  });

  it('does not put the fault of the interceptor on a packet', () => {
    const notes: string[] = [];
    const { path, source, inspector } = setUp({}, { atHand: noting(notes) });
    source.interceptor.release = () => {
      throw new InterceptError('gone', 'EBADF');
    };
    inspector.on('one', () => ({}));
    source.arrive('one', 'two');
    assert.throws(() => path.turn(), InterceptError);
    assert.deepEqual(notes, ['take one,two', 'done']);
  });

  it('passes it on unread, then reads what it had received, and passes the same unread from then on', () => {
    const packet = (text: string) => ({ bytes: Buffer.from(text), handle: 0 });
    const { path, source, inspector, log, post } = setUp(
      {},
      {
        inheritance: {
          culprit: { packet: packet('fatal'), released: false },
          unread: [packet('invite')],
          remembered: new Set([fingerprintOf(Buffer.from('fatal'))]),
          deaths: 3,
        },
      },
    );
    inspector.on('fatal', () => assert.fail('it was read'));
    inspector.opens('invite', 4000);
    path.start({});
    assert.deepEqual(log, ['release fatal']);
    source.arrive('fatal', 'other');
    path.turn();
    assert.deepEqual(log.slice(1), ['commit +[4000] -[]', 'release invite']);
    path.turn();
    assert.deepEqual(log.slice(3), ['release fatal', 'release other']);
    assert.deepEqual([path.counters.deaths, path.counters.unread, path.counters.released], [3, 1, 3]);
    path.flush();
    assert.match(
      notes(post.reports).join('\n'),
      /died of a packet, which passes unread: 5 bytes, fingerprint \w+/,
    );
    assert.match(
      notes(post.reports).join('\n'),
      /a packet passes unread, a data path died of its like: 5 bytes/,
    );
  });

  it('does not release what was released already', () => {
    const culprit = { packet: { bytes: Buffer.from('fatal'), handle: 0 }, released: true };
    const inheritance = { culprit, unread: [], remembered: new Set<string>(), deaths: 1 };
    const { path, log } = setUp({}, { inheritance });
    path.start({});
    assert.deepEqual(log, []);
  });
});

describe('data path: waiting', () => {
  it('waits for a deadline, not past it, and never longer than a heartbeat', () => {
    const { path, source, inspector, clock } = setUp();
    path.turn();
    inspector.double.deadline = clock.now() + 12.3;
    path.turn();
    inspector.double.deadline = clock.now() - 5;
    path.turn();
    assert.deepEqual(source.timeouts, [BEAT, 13, 0]);
  });

  it('does what is due when its time has come, and not before', () => {
    const { path, inspector, clock, log } = setUp();
    inspector.double.deadline = clock.now() + 10;
    inspector.double.onTick = () => ({ change: changeOf([4000]) });
    path.turn();
    assert.deepEqual(log, []);
    clock.pass(10);
    path.turn();
    assert.deepEqual(log, ['commit +[4000] -[]']);
  });

  it('beats when idle and under load, at least every 250 ms', () => {
    const { path, source, beats, clock } = setUp();
    for (let turn = 0; turn < 40; turn++) {
      if (turn % 2 === 0) source.arrive('options');
      clock.pass(turn % 2 === 0 ? 5 : BEAT);
      path.turn();
    }
    const gaps = beats.slice(1).map((at, index) => at - beats[index]!);
    assert.ok(beats.length > 10);
    assert.ok(Math.max(...gaps) <= 250, `longest silence ${Math.max(...gaps)} ms`);
  });

  it('beats between two steps of its work, each of which may take its time', () => {
    const step = 400;
    const { path, source, inspector, filter, beats, clock } = setUp(
      {},
      { intact: () => slow(true), backlog: () => slow(0) },
    );
    const slow = <T>(result: T): T => {
      clock.pass(step);
      return result;
    };
    for (const [index, name] of ['one', 'two', 'three'].entries())
      inspector.on(name, () => slow({ change: changeOf([4000 + 10 * index]), events: [REFUSED] }));
    filter.control.takes = () => void slow(null);
    inspector.double.deadline = clock.now();
    inspector.double.onTick = () => slow({ change: changeOf([5000]) });
    source.arrive('one', 'two', 'three');
    beats.push(clock.now());
    for (let turn = 0; turn < 8; turn++) path.turn();
    const gaps = beats.slice(1).map((at, index) => at - beats[index]!);
    assert.ok(beats.at(-1)! - beats[0]! >= 10 * step);
    assert.ok(Math.max(...gaps) <= step + BEAT, `longest silence ${Math.max(...gaps)} ms`);
  });

  it('tells what happened once no packet has come for a moment', () => {
    const { path, source, inspector, post, clock } = setUp();
    inspector.on('invite', () => ({ events: [REFUSED] }));
    source.arrive('invite');
    path.turn();
    clock.pass(QUIET / 2);
    path.turn();
    assert.equal(source.timeouts[1], QUIET / 2);
    assert.equal(batches(post.reports).length, 0);
    clock.pass(QUIET / 2);
    path.turn();
    assert.equal(batches(post.reports).length, 1);
    path.turn();
    assert.equal(source.timeouts[3], BEAT);
  });

  it('tells it late, but not too late, while packets keep coming', () => {
    const { path, source, inspector, post, clock } = setUp();
    inspector.on('invite', () => ({ events: [REFUSED] }));
    const began = clock.now();
    while (batches(post.reports).length === 0) {
      source.arrive('invite');
      path.turn();
      clock.pass(1);
    }
    assert.equal(clock.now() - began, SOON + 1);
    assert.equal(happenings(post.reports).length, SOON + 1);
  });
});

describe('data path: a filter that refuses', () => {
  it('asks a busy filter again until it takes the change', () => {
    const { path, source, inspector, filter, log } = setUp(
      {},
      {
        pause: (): void => {
          if (filter.control.asked === 3) filter.control.refuse = null;
        },
      },
    );
    inspector.opens('invite', 4000);
    filter.control.refuse = busy();
    source.arrive('invite');
    path.turn();
    assert.deepEqual(log, ['commit +[4000] -[]', 'release invite']);
    assert.equal(path.counters.retries, 3);
    assert.equal(path.counters.commitErrors, 0);
  });

  it('gives a busy filter no more than timers.firewall-retry, then passes the packet without', () => {
    const { path, source, inspector, filter, clock, log } = setUp();
    inspector.opens('invite', 4000);
    filter.control.refuse = busy();
    source.arrive('invite');
    const before = clock.now();
    path.turn();
    assert.equal(clock.now() - before, settingsWith({}).timers.firewallRetry);
    assert.deepEqual(log, ['release invite']);
    assert.equal(path.counters.commitErrors, 1);
    assert.equal(inspector.inspector.stats.refusals.get('firewall-error'), 1);
  });

  it('drops the packet with on-firewall-error: drop', () => {
    const { path, source, inspector, filter, log } = setUp({ onFirewallError: 'drop' });
    inspector.opens('invite', 4000);
    filter.control.refuse = new FirewallError('DIOCADDRULE: EINVAL', 'EINVAL');
    source.arrive('invite', 'options');
    path.turn();
    assert.deepEqual(log, ['drop invite', 'release options']);
    assert.equal(filter.control.asked, 1);
  });

  it('keeps beating while it waits for a busy filter', () => {
    const { path, source, inspector, filter, beats } = setUp({
      timers: { ...settingsWith({}).timers, firewallRetry: 1000 },
    });
    inspector.opens('invite', 4000);
    filter.control.refuse = busy();
    source.arrive('invite');
    path.turn();
    const gaps = beats.slice(1).map((at, index) => at - beats[index]!);
    assert.ok(beats.length >= 10 && Math.max(...gaps) <= 250);
  });

  it('waits for a failing filter only once, not with every packet', () => {
    const { path, source, inspector, filter, clock } = setUp();
    for (let call = 0; call < 20; call++) inspector.opens(`invite ${call}`, 4000 + 2 * call);
    filter.control.refuse = busy();
    source.arrive(...Array.from({ length: 20 }, (_, call) => `invite ${call}`));
    const before = clock.now();
    path.turn();
    assert.equal(clock.now() - before, settingsWith({}).timers.firewallRetry);
  });

  it('puts the filter right by itself once it answers again', () => {
    const { path, source, inspector, filter, clock, log, post } = setUp();
    inspector.opens('one', 4000);
    inspector.on('two', () => ({ change: changeOf([4010], [4000]) }));
    filter.control.refuse = new FirewallError('no', 'EIO');
    source.arrive('one', 'two');
    path.turn();
    for (let turn = 0; turn < 20; turn++) {
      clock.pass(BEAT);
      path.turn();
    }
    assert.deepEqual(log, ['release one', 'release two']);
    filter.control.refuse = null;
    for (let turn = 0; turn < 100; turn++) {
      clock.pass(BEAT);
      path.turn();
    }
    assert.deepEqual(filter.model.list(), [pinhole(4010)]);
    assert.equal(path.counters.repairs, 1);
    assert.match(
      notes(post.reports).join('\n'),
      /refused a change.*\n.*as it should be again: 1 added, 0 removed/,
    );
  });

  it('holds the next packet of the call to the same rule until its pinholes are there', () => {
    const { path, source, inspector, filter, log } = setUp({ onFirewallError: 'drop' });
    const call = callOf('a');
    const other = callOf('b');
    const invite = { ...pinhole(4000), label: `pinholed:${call.legId}:0` };
    const again = { events: [messageOf(call)] };
    inspector.on('invite', () => ({ change: { open: [invite], close: [] }, ...again }));
    inspector.on('retransmission', () => again);
    inspector.on('other', () => ({ events: [messageOf(other)] }));
    filter.control.refuse = new FirewallError('no', 'EIO');
    source.arrive('invite', 'other', 'retransmission');
    path.turn();
    assert.deepEqual(log, ['drop invite', 'release other', 'drop retransmission']);
    filter.control.refuse = null;
    source.arrive('retransmission');
    path.turn();
    assert.deepEqual(log.slice(3, 5), ['commit +[4000] -[]', 'release retransmission']);
  });

  it('does not close what never opened', () => {
    const { path, source, inspector, filter, log } = setUp();
    inspector.opens('invite', 4000);
    inspector.on('bye', () => ({ change: changeOf([], [4000]) }));
    filter.control.refuse = new FirewallError('no', 'EIO');
    source.arrive('invite');
    path.turn();
    filter.control.refuse = null;
    source.arrive('bye');
    path.turn();
    assert.deepEqual(log, ['release invite', 'release bye']);
  });

  it('rebuilds within a second when somebody has flushed the rules', () => {
    const { path, source, inspector, filter, clock, log } = setUp(
      {},
      { intact: (): boolean => filter.model.list().length === [...inspector.inspector.pinholes()].length },
    );
    inspector.opens('invite', 4000, 4002);
    source.arrive('invite');
    path.turn();
    filter.model.clear();
    const before = clock.now();
    while (filter.model.list().length === 0 && clock.now() < before + 1000) {
      clock.pass(BEAT);
      path.turn();
    }
    assert.deepEqual(filter.model.list(), [pinhole(4000), pinhole(4002)]);
    assert.equal(log.at(-1), 'commit +[4000 4002] -[]');
  });
});

describe('data path: what must not happen', () => {
  it('releases a packet over which the inspector threw, and goes on', () => {
    const { path, source, inspector, log, post, clock } = setUp();
    inspector.on('poison', () => {
      throw new TypeError('cannot read properties');
    });
    source.arrive('poison', 'fine');
    assert.equal(path.turn(), true);
    clock.pass(QUIET);
    path.turn();
    assert.deepEqual(log, ['release poison', 'release fine']);
    assert.equal(path.counters.exceptions, 1);
    assert.match(notes(post.reports)[0]!, /inspector.*cannot read properties/);
  });

  it('releases a packet over which the filter threw something else than a FirewallError', () => {
    const { path, source, inspector, filter, log } = setUp();
    inspector.opens('invite', 4000);
    filter.control.refuse = new RangeError('offset');
    source.arrive('invite');
    path.turn();
    assert.deepEqual(log, ['release invite']);
    assert.equal(path.counters.exceptions, 1);
  });

  it('compares the filter with what should be open after an error in the middle of a packet', () => {
    const { path, source, inspector, filter, clock } = setUp();
    inspector.opens('invite', 4000);
    source.arrive('invite');
    path.turn();
    inspector.on('broken', () => {
      filter.model.commit({ open: [], close: [pinhole(4000)] });
      throw new TypeError('boom');
    });
    source.arrive('broken');
    path.turn();
    assert.deepEqual(filter.model.list(), []);
    clock.pass(5_000);
    path.turn();
    assert.deepEqual(filter.model.list(), [pinhole(4000)]);
  });

  it('lets packets pass between two parts of what is due', () => {
    const { path, source, inspector, clock } = setUp();
    const order: string[] = [];
    const due = 40;
    let left = due;
    inspector.double.deadline = clock.now();
    inspector.double.onTick = (most) => {
      left = Math.max(0, left - most);
      if (left > 0) inspector.double.deadline = clock.now();
      order.push('due');
      return {};
    };
    const packet = () => {
      order.push('packet');
      return {};
    };
    inspector.on('one', packet);
    inspector.on('two', packet);
    source.arrive('one');
    path.turn();
    source.arrive('two');
    for (let turns = 0; left > 0 && turns < due; turns++) path.turn();
    assert.equal(left, 0);
    assert.deepEqual(order.slice(0, 4), ['packet', 'due', 'packet', 'due']);
  });

  it('survives a deadline that throws', () => {
    const { path, inspector, clock } = setUp();
    inspector.double.deadline = clock.now();
    inspector.double.onTick = () => {
      throw new Error('tick');
    };
    assert.equal(path.turn(), true);
    assert.equal(path.counters.exceptions, 1);
  });

  it('ends when the interceptor is gone', () => {
    const { path, source } = setUp();
    source.fail(new InterceptError('socket closed', 'EBADF'));
    assert.throws(() => path.turn(), InterceptError);
  });

  it('tries to release the rest of the batch when the interceptor fails in the middle of it', () => {
    const { path, source, log } = setUp();
    const release = source.interceptor.release;
    source.interceptor.release = (packet) => {
      if (packet.bytes.toString() === 'two') throw new InterceptError('no verdict', 'EPERM');
      release(packet);
    };
    source.arrive('one', 'two', 'three');
    assert.throws(() => path.turn(), InterceptError);
    assert.deepEqual(log, ['release one', 'release three']);
  });

  it('keeps a bounded number of lines when the control thread does not take them', () => {
    let backlog = 0;
    const { path, source, inspector, post, clock } = setUp({}, { backlog: () => backlog });
    inspector.on('junk', () => ({ events: [REFUSED] }));
    backlog = 1000;
    for (let turn = 0; turn < 100; turn++) {
      source.arrive(...Array.from({ length: 100 }, () => 'junk'));
      path.turn();
      clock.pass(QUIET + SOON);
      path.turn();
    }
    assert.deepEqual(batches(post.reports), []);
    backlog = 0;
    clock.pass(QUIET + SOON);
    path.flush();
    const kept = happenings(post.reports).length;
    assert.ok(kept < 5000);
    assert.equal(kept + path.counters.eventsLost, 10_000);
  });

  it('keeps a bounded number of calls that came and went while the control thread takes nothing, the last of them', () => {
    let backlog = 1000;
    const most = 1000;
    const { path, source, inspector, post, clock } = setUp(
      { caps: { ...settingsWith({}).caps, backlog: most } },
      { backlog: () => backlog },
    );
    const known = callOf('known');
    const flood = Array.from({ length: 3 * most }, (_, index) => callOf(`flood-${index}`));
    const happens = (call: Call, what: 'started' | 'ended'): void => {
      inspector.on(`${what} ${call.callId}`, () => ({
        events: [{ type: 'call', what, leg: legOf(call), at: 0 }],
      }));
      source.arrive(`${what} ${call.callId}`);
      path.turn();
    };
    backlog = 0;
    happens(known, 'started');
    clock.pass(1000);
    path.turn();
    backlog = 1000;
    const before = post.reports.length;
    for (const call of [known, ...flood]) {
      if (call !== known) happens(call, 'started');
      call.state = 'ended';
      happens(call, 'ended');
    }
    assert.equal(post.reports.length, before);
    backlog = 0;
    path.flush();
    const written = batches(post.reports.slice(before)).flatMap(({ records }) =>
      records.map(({ key }) => key),
    );
    assert.deepEqual(
      written.sort(),
      [known, ...flood.slice(-most)].map(({ legId }) => legId).sort(),
      'one that the journal has as under way is never left out',
    );
  });

  it('keeps a bounded number of closed pinholes, and counts those whose states stay', () => {
    let backlog = 1000;
    const most = 1000;
    const { path, source, inspector, post } = setUp(
      { caps: { ...settingsWith({}).caps, backlog: most } },
      { backlog: () => backlog },
    );
    for (let turn = 0; turn < 3; turn++) {
      const ports = Array.from({ length: most / 2 }, (_, index) => 10_000 + turn * 1000 + index);
      inspector.on(`open ${turn}`, () => ({ change: changeOf(ports) }));
      inspector.on(`close ${turn}`, () => ({ change: changeOf([], ports) }));
      source.arrive(`open ${turn}`, `close ${turn}`);
      path.turn();
    }
    assert.equal(path.counters.statesLeft, most / 2);
    backlog = 0;
    path.flush();
    const closed = batches(post.reports).flatMap((batch) => batch.closed.map(({ ports }) => ports[0]));
    assert.equal(closed.length, most);
    assert.ok(Math.min(...closed) >= 11_000);
  });
});

describe('data path: orders', () => {
  it('takes new settings without touching what is open', () => {
    const { path, source, inspector, filter, post, settings } = setUp();
    inspector.opens('invite', 4000);
    source.arrive('invite');
    path.turn();
    post.orders.push({ type: 'settings', settings: settingsWith({ strict: true }) });
    path.turn();
    assert.equal(settings().strict, true);
    assert.equal(inspector.double.reloads, 1);
    assert.deepEqual(filter.model.list(), [pinhole(4000)]);
  });

  it('passes on which pinholes had media', () => {
    const { path, inspector, post } = setUp();
    post.orders.push({
      type: 'traffic',
      seen: [
        ['a', 'came'],
        ['a', 'sent'],
        ['b', 'untold'],
      ],
      complete: true,
    });
    path.turn();
    assert.deepEqual(inspector.traffic, ['a came', 'a sent', 'b untold']);
  });

  it('takes one order between two batches, so that orders do not hold up packets', () => {
    const { path, source, inspector, post, log } = setUp();
    post.orders.push(
      { type: 'traffic', seen: [['a', 'came']], complete: true },
      { type: 'traffic', seen: [['b', 'came']], complete: true },
    );
    source.arrive('one');
    path.turn();
    assert.deepEqual([inspector.traffic, log], [['a came'], ['release one']]);
  });

  it('on stop empties the queue, then the filter, and says so last', () => {
    const { path, source, inspector, post, log } = setUp();
    inspector.opens('late', 4000);
    source.arrive();
    source.arrive('late');
    source.arrive('later');
    post.orders.push({ type: 'stop', keep: false });
    assert.equal(path.turn(), false);
    assert.deepEqual(log, [
      'commit +[4000] -[]',
      'release late',
      'release later',
      'clear firewall',
      'close interceptor',
      'close firewall',
    ]);
    assert.equal(post.reports.at(-1)?.type, 'stopped');
  });

  it('keeps the rules on a stop that says so', () => {
    const { path, post, log } = setUp();
    post.orders.push({ type: 'stop', keep: true });
    path.turn();
    assert.deepEqual(log, ['close interceptor', 'close firewall']);
  });

  it('answers questions', () => {
    const { path, source, inspector, post } = setUp();
    inspector.opens('invite', 4000, 4002);
    source.arrive('invite');
    path.turn();
    post.orders.push({ type: 'ask', id: 7, question: { type: 'pinholes', cursor: null, limit: 1 } });
    post.orders.push({ type: 'ask', id: 8, question: { type: 'status' } });
    path.turn();
    path.turn();
    const answers = post.reports.filter((report) => report.type === 'answer');
    const slice = { items: [pinhole(4000)], cursor: 1 };
    assert.deepEqual(answers[0], { type: 'answer', id: 7, answer: slice });
    const status = answers[1]!.answer as { pinholes: number; counters: { released: number } };
    assert.deepEqual([status.pinholes, status.counters.released], [2, 1]);
  });
});

describe('data path: start', () => {
  const record = (callId: string, ...ports: number[]) => {
    const call = callOf(callId);
    return {
      call,
      held: ports.map((port) => ({
        pinhole: { ...pinhole(port), label: `pinholed:${call.legId}:0` },
        slot: '0',
        openedAt: 0,
        candidate: false,
        agreed: true,
        trafficAt: null,
        until: Number.POSITIVE_INFINITY,
        reason: null,
      })),
    };
  };

  it('keeps the rules that are there, adds those that are missing, removes strangers', () => {
    const { path, filter, log, post, clock } = setUp();
    const call = record('a', 4000, 4002);
    filter.model.commit({ open: [call.held[0]!.pinhole, pinhole(9000)], close: [] });
    path.start({ calls: [call] });
    assert.deepEqual(log, ['commit +[4002] -[]', 'commit +[] -[9000]']);
    assert.deepEqual(
      filter.model.list().map(({ ports }) => ports[0]),
      [4000, 4002],
    );
    assert.deepEqual(post.reports.at(-1), { type: 'running', calls: 1, pinholes: 2, removed: 1 });
    clock.pass(QUIET);
    path.turn();
    assert.deepEqual(
      batches(post.reports).flatMap(({ closed }) => closed),
      [pinhole(9000)],
    );
  });

  const answered = (call: ReturnType<typeof record>) => ({
    ...pinhole(4010),
    label: `pinholed:${call.call.legId}:1.0`,
  });

  it('keeps a rule of a live call that is newer than its journal, until media is silent', () => {
    const { path, filter, clock, post } = setUp();
    const call = record('a', 4000);
    const late = answered(call);
    filter.model.commit({ open: [call.held[0]!.pinhole, late], close: [] });
    path.start({ calls: [call] });
    assert.deepEqual(post.reports.at(-1), { type: 'running', calls: 1, pinholes: 1, removed: 0 });
    clock.pass(299_000);
    post.orders.push({ type: 'traffic', seen: [[late.id, 'came']], complete: true });
    path.turn();
    clock.pass(299_000);
    path.turn();
    assert.equal(filter.model.list().length, 2);
    clock.pass(1_000);
    path.turn();
    assert.deepEqual(filter.model.list(), [call.held[0]!.pinhole]);
    clock.pass(QUIET);
    path.turn();
    assert.deepEqual(
      batches(post.reports).flatMap(({ closed }) => closed),
      [late],
    );
  });

  it('does not count what the host of such a rule sends as media that came', () => {
    const { path, filter, clock, post } = setUp();
    const call = record('a', 4000);
    const late = answered(call);
    filter.model.commit({ open: [call.held[0]!.pinhole, late], close: [] });
    path.start({ calls: [call] });
    clock.pass(299_000);
    post.orders.push({ type: 'traffic', seen: [[late.id, 'sent']], complete: true });
    path.turn();
    clock.pass(1_000);
    path.turn();
    assert.deepEqual(filter.model.list(), [call.held[0]!.pinhole]);
  });

  it('closes such a rule within a second of the end of its call', () => {
    const { path, source, inspector, filter, clock, post } = setUp();
    const call = record('a');
    filter.model.commit({ open: [answered(call)], close: [] });
    path.start({ calls: [call] });
    inspector.on('bye', () => ({
      events: [{ type: 'call', what: 'ended', leg: legOf(call.call), at: clock.now() }],
    }));
    source.arrive('bye');
    path.turn();
    post.orders.push({ type: 'traffic', seen: [[answered(call).id, 'came']], complete: true });
    path.turn();
    assert.equal(filter.model.list().length, 1);
    clock.pass(1_000);
    path.turn();
    assert.deepEqual(filter.model.list(), []);
  });

  it('hands such a rule over when its call asks for it', () => {
    const { path, source, inspector, filter, clock } = setUp();
    const call = record('a', 4000);
    const late = answered(call);
    filter.model.commit({ open: [call.held[0]!.pinhole, late], close: [] });
    path.start({ calls: [call] });
    inspector.opens('200', 4010);
    source.arrive('200');
    path.turn();
    assert.equal(path.counters.commitErrors, 0);
    clock.pass(400_000);
    path.turn();
    assert.deepEqual(
      filter.model.list().map(({ label }) => label),
      [call.held[0]!.pinhole.label, pinhole(4010).label],
    );
  });

  it('removes a rule whose call the journal knows as ended', () => {
    const { path, filter } = setUp();
    const call = record('a');
    filter.model.commit({ open: [answered(call)], close: [] });
    path.start({ calls: [{ ...call, call: { ...call.call, state: 'ended' } }] });
    assert.deepEqual(filter.model.list(), []);
  });

  it('does nothing to a filter that holds exactly what it should', () => {
    const { path, filter, log } = setUp();
    const call = record('a', 4000);
    filter.model.commit({ open: call.held.map((one) => one.pinhole), close: [] });
    path.start({ calls: [call] });
    assert.deepEqual(log, []);
  });

  it('replaces a rule that carries the label of another call', () => {
    const { path, filter } = setUp();
    filter.model.commit({ open: [pinhole(4000, '00000000000000ff')], close: [] });
    const call = record('a', 4000);
    path.start({ calls: [call] });
    assert.deepEqual(filter.model.list(), [call.held[0]!.pinhole]);
  });

  it('goes on without a call that cannot be taken up', () => {
    const { path, inspector, filter } = setUp();
    const adopt = inspector.inspector.adopt;
    inspector.inspector.adopt = (records, now) => {
      if (records[0]!.call.callId === 'bad') throw new TypeError('dialogs is not iterable');
      return adopt(records, now);
    };
    path.start({ calls: [record('bad', 5000), record('good', 4000)] });
    assert.deepEqual(
      filter.model.list().map(({ ports }) => ports[0]),
      [4000],
    );
    assert.equal(path.counters.exceptions, 1);
  });

  it('fails when the filter cannot be made right', () => {
    const { path, filter } = setUp();
    filter.control.refuse = new FirewallError('no', 'EPERM');
    assert.throws(() => path.start({ calls: [record('a', 4000)] }), FirewallError);
  });
});
