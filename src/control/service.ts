import { release, type as systemName } from 'node:os';
import { setTimeout } from 'node:timers/promises';
import { REFUSALS } from '../call/refusal.ts';
import { writtenSettings } from '../config/print.ts';
import type { Settings } from '../config/schema.ts';
import type { DataPathStatus } from '../daemon/messages.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import { type Deviation, lasting } from '../firewall/deviation.ts';
import { FirewallError } from '../firewall/firewall.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { VERSION } from '../version.ts';
import type { AlarmBoard } from './alarms.ts';
import {
  askDataPath,
  createCallReader,
  createCallWriter,
  type PassedSource,
  uniquePinholes,
} from './calls.ts';
import { groupOf, otherNames } from './group.ts';
import { exposureOf, histogramOf, quantilesOf, refusedOf } from './numbers.ts';
import type { SocketPeer } from './peer.ts';
import {
  type AcknowledgeResult,
  type CallsResult,
  type CloseResult,
  type FlushResult,
  type HandoverResult,
  type PinholesResult,
  type Request,
  RequestError,
  type RequestName,
  type SettingsResult,
  type StatsResult,
  type StatusResult,
  type TopResult,
  textOf,
  type VerifyResult,
  type WatchResult,
} from './protocol.ts';
import { MAX_TOP, select, selectionOf } from './selection.ts';
import type { Handler } from './server.ts';
import { createEpoch, seconds } from './units.ts';
import { type WatchedEvent, watchedEvents } from './watched.ts';

/** ms that the other firewalls have to take up what this one knows. */
const HANDOVER_WITHIN = 10_000;
/** Calls or pinholes in one line. */
const PER_LINE = 100;
/** Questions that wait in the data path's queue at a time. */
const AT_A_TIME = 16;
const SHORTEST_INTERVAL = 0.5;
const LONGEST_INTERVAL = 60;
/** The data path is asked for all calls at most every so many times what that took. */
const REST = 10;
/** A difference is one that is seen each time, with so many ms between. */
const COMPARE_AGAIN = 3;
const COMPARE_EVERY = 100;
const MOST_EXAMPLES = 20;
const WATCHED_EVENTS = 1000;
const WATCH_EVERY = 200;
const WATCH_BEAT = 10_000;
/** What people open when they have no pinholes. */
const USUAL_RANGE: readonly [number, number] = [10_000, 20_000];

/** The answers that come from the running daemon; what a call's closed pinholes had passed, others remember. */
export function createHandlers(
  daemon: RunningDaemon,
  passedBefore: PassedSource['passedBefore'],
  board: AlarmBoard,
): Readonly<
  Record<
    Exclude<RequestName, 'explain' | 'history' | 'recording' | 'blocked' | 'refused' | 'metrics'>,
    Handler
  >
> {
  const ask = askDataPath(daemon);
  const calls = createCallReader(daemon);

  const epoch = createEpoch(daemon.clock);
  const passed: PassedSource = { trafficOf: daemon.trafficOf, passedBefore };
  const writer = () => createCallWriter(passed, daemon.clock(), epoch(), daemon.group?.ownerOf);

  async function* listCalls(request: Request): AsyncGenerator<CallsResult> {
    const name = 'call' in request ? textOf(request.call, 'call') : null;
    const selection = selectionOf(request, { sort: null, limit: Number.MAX_SAFE_INTEGER });
    const list = name === null ? await calls.all() : await calls.named(name);
    const write = writer();
    const wanted = select(list, selection, passed, daemon.clock());
    for (const part of parts(wanted)) yield { calls: part.map(write.call) };
  }

  async function* listPinholes(request: Request): AsyncGenerator<PinholesResult> {
    const name = 'call' in request ? textOf(request.call, 'call') : null;
    const selection = selectionOf(request, { sort: null, limit: Number.MAX_SAFE_INTEGER });
    const all = await calls.all();
    const wanted = new Set(
      select(name === null ? all : await calls.named(name), selection, passed, daemon.clock()),
    );
    const list = uniquePinholes(all).filter(({ holders }) => holders.some((one) => wanted.has(one)));
    const write = writer();
    for (const part of parts(list)) {
      yield { pinholes: part.map(({ held, holders }) => write.listed(held, holders)) };
    }
  }

  /** Asks again while there is a difference: pinholes come and go between the two readings of one comparison. */
  async function verify(): Promise<VerifyResult> {
    let pinholes = await calls.pinholes();
    let found = compare(pinholes);
    for (let again = 0; again < COMPARE_AGAIN && differs(found); again++) {
      await setTimeout(COMPARE_EVERY);
      pinholes = await calls.pinholes();
      found = lasting(found, compare(pinholes));
    }
    const { held, missing, strange } = found;
    const examples = [...missing.map((line) => `- ${line}`), ...strange.map((line) => `+ ${line}`)];
    if (differs(found)) {
      daemon.say(
        'warn',
        `control: of the rules of pinholes ${missing.length} are missing, ${strange.length} are not ours: ` +
          'putting them right',
      );
      daemon.repair();
    }
    return {
      pinholes: pinholes.length,
      rules: held,
      missing: missing.length,
      unexpected: strange.length,
      examples: examples.slice(0, MOST_EXAMPLES),
    };
  }

  function compare(pinholes: readonly Pinhole[]): Deviation {
    try {
      return daemon.compare(pinholes);
    } catch (error) {
      if (!(error instanceof FirewallError)) throw error;
      throw new RequestError('unavailable', `the packet filter cannot be read: ${error.message}`);
    }
  }

  async function* top(request: Request, _: SocketPeer | null, gone: AbortSignal): AsyncGenerator<TopResult> {
    const interval = intervalOf(request);
    const selection = selectionOf(request, { sort: 'age', limit: MAX_TOP });
    while (!gone.aborted) {
      const before = daemon.clock();
      const status = await ask({ type: 'status' });
      const list = await calls.all();
      const now = daemon.clock();
      const write = writer();
      yield {
        at: seconds(Date.now()),
        uptime: seconds(Date.now() - daemon.about.startedAt),
        calls: status.calls,
        pinholes: status.pinholes,
        packets: status.counters.received,
        alarms: board.look(status),
        top: select(
          list.filter(({ leg }) => leg.state !== 'ended'),
          selection,
          passed,
          now,
        ).map(write.call),
      };
      await pause(Math.max(interval * 1000, (now - before) * REST), gone);
    }
  }

  async function close(request: Request, peer: SocketPeer | null): Promise<CloseResult> {
    const name = 'call' in request ? textOf(request.call, 'call') : '';
    const named = await calls.named(name);
    const closed = await endAll(named.map(({ leg }) => leg.legId));
    daemon.say(
      'info',
      `control: ${by(peer)} closed ${closed.length === 1 ? 'leg' : 'legs'} ${closed.join(', ')}`,
    );
    return { closed };
  }

  /** Those that were still under way. */
  async function endAll(legIds: readonly string[]): Promise<string[]> {
    const ended = await Promise.all(legIds.map((legId) => ask({ type: 'end', legId })));
    calls.forget();
    return legIds.filter((_, index) => ended[index]);
  }

  async function* flush(_: Request, peer: SocketPeer | null): AsyncGenerator<FlushResult> {
    const list = (await calls.all()).filter(({ leg }) => leg.state !== 'ended');
    daemon.say('warn', `control: ${by(peer)} closes all ${list.length} calls`);
    let closed = 0;
    for (const part of parts(list, AT_A_TIME)) {
      closed += (await endAll(part.map(({ leg }) => leg.legId))).length;
      yield { closed, calls: list.length };
    }
    if (list.length === 0) yield { closed, calls: 0 };
  }

  async function acknowledge(request: Request, peer: SocketPeer | null): Promise<AcknowledgeResult> {
    const status = await ask({ type: 'status' });
    const name = 'alarm' in request && request.alarm !== undefined ? textOf(request.alarm, 'alarm') : null;
    const raised = board.look(status).map((alarm) => alarm.name);
    if (name !== null && !raised.includes(name)) {
      throw new RequestError('no-such-alarm', `there is no alarm ${name} at the moment`);
    }
    const names = new Set(name === null ? raised : [name]);
    const cleared = board.acknowledge(status, names);
    if (cleared.length > 0) daemon.say('info', `control: ${by(peer)} acknowledged ${cleared.join(', ')}`);
    return { cleared, stay: [...names].filter((one) => !cleared.includes(one)) };
  }

  async function handover(_: Request, peer: SocketPeer | null): Promise<HandoverResult> {
    const { group } = daemon;
    if (group === null) {
      throw new RequestError('bad-request', 'peers-store.url is off: calls are shared with nobody');
    }
    daemon.say('warn', `control: ${by(peer)} asks for a handover`);
    const isHandedOver = await group.handOver(HANDOVER_WITHIN);
    const status = group.status();
    const { state, own, others } = status;
    const names = otherNames(status);
    const why =
      state !== 'joined'
        ? 'the store is away'
        : names.length === 0
          ? 'nobody else is there'
          : 'no answer in time';
    return { isHandedOver, others: names, calls: own + others, why: isHandedOver ? '' : why };
  }

  async function* watch(_: Request, __: SocketPeer | null, gone: AbortSignal): AsyncGenerator<WatchResult> {
    let events: WatchedEvent[] = [];
    let lost = 0;
    const write = writer();
    const end = daemon.subscribe((occasions, notes) => {
      const more = watchedEvents(occasions, notes, write.date);
      const room = WATCHED_EVENTS - events.length;
      events.push(...more.slice(0, room));
      lost += Math.max(0, more.length - room);
    });
    try {
      for (let silent = 0; !gone.aborted; silent += WATCH_EVERY) {
        if (events.length > 0 || silent >= WATCH_BEAT) {
          const result = { events, lost };
          events = [];
          lost = 0;
          silent = 0;
          yield result;
        }
        await pause(WATCH_EVERY, gone);
      }
    } finally {
      end();
    }
  }

  return {
    status: async () => statusOf(daemon, await ask({ type: 'status' }), board),
    stats: async () => statsOf(daemon, await ask({ type: 'status' })),
    exposure: async (request) => exposureOf(await ask({ type: 'status' }), rangeOf(request)),
    calls: listCalls,
    pinholes: listPinholes,
    verify,
    settings: async (): Promise<SettingsResult> => ({
      file: daemon.configFile,
      settings: writtenSettings(daemon.settings()),
    }),
    top,
    close,
    flush,
    acknowledge,
    handover,
    watch,
  };
}

function differs({ missing, strange }: Deviation): boolean {
  return missing.length + strange.length > 0;
}

function* parts<T>(list: readonly T[], size = PER_LINE): Generator<readonly T[]> {
  for (let at = 0; at < list.length; at += size) yield list.slice(at, at + size);
}

/** Waits, but not for a client that is gone. */
async function pause(ms: number, gone: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal: gone }).catch(() => {});
}

function by(peer: SocketPeer | null): string {
  return peer === null ? 'somebody' : `user ${peer.uid}`;
}

function statusOf(daemon: RunningDaemon, status: DataPathStatus, board: AlarmBoard): StatusResult {
  const { about, supervised } = daemon;
  const { inspector, fidelity } = status;
  return {
    version: VERSION,
    platform: about.platform,
    system: `${systemName()} ${release()}`,
    runtime: runtimeName(),
    pid: process.pid,
    user: about.user,
    startedAt: seconds(about.startedAt),
    uptime: seconds(Date.now() - about.startedAt),
    mode: modeOf(daemon.settings(), supervised),
    description: about.description,
    calls: status.calls,
    callsStarted: inspector.callsStarted,
    callsWithoutAudio: status.withoutAudio,
    staticMedia: status.staticMedia,
    pinholes: status.pinholes,
    pinholesMissing: status.missing,
    adopted: about.adopted,
    counters: status.counters,
    bytesModified: fidelity.modified,
    packetsCompared: fidelity.compared,
    messages: inspector.messages,
    heard: inspector.heard,
    mirrored: inspector.mirrored,
    malformed: inspector.malformed,
    refused: refusedOf(inspector.refusals),
    media: daemon.traffic(),
    latency: { inspection: quantilesOf(status.inspection), commit: quantilesOf(status.commit) },
    group: groupOf(daemon, status),
    platformCounters: status.platform,
    alarms: board.look(status),
  };
}

function modeOf(settings: Settings, supervised: boolean): StatusResult['mode'] {
  const { mode, intercept, fail, onFirewallError, strict, daemon } = settings;
  return {
    observes: mode === 'observe',
    passive: intercept === 'bpf',
    fail,
    onFirewallError,
    strict,
    supervised,
    journal: daemon.journal !== null,
  };
}

/** `node 20.20.2` or `bun 1.3.0`. */
export function runtimeName(): string {
  const { bun, node } = process.versions;
  return bun === undefined ? `node ${node}` : `bun ${bun}`;
}

function statsOf(daemon: RunningDaemon, status: DataPathStatus): StatsResult {
  const { packets, notSip, keepalives, malformed, spoofed, messages, methods, unreadable } = status.inspector;
  const { responses, refusals } = status.inspector;
  const reasons = Object.keys(REFUSALS).map((reason) => [reason, refusals[reason] ?? 0] as const);
  return {
    startedAt: seconds(daemon.about.startedAt),
    ...{ packets, notSip, keepalives, malformed, spoofed, messages, methods, responses, unreadable },
    refusals: Object.fromEntries(reasons),
    inspection: histogramOf(status.inspection),
    commit: histogramOf(status.commit),
  };
}

function intervalOf(request: Request): number {
  const { interval = 1 } = request as Record<string, unknown>;
  if (typeof interval === 'number' && interval >= SHORTEST_INTERVAL && interval <= LONGEST_INTERVAL) {
    return interval;
  }
  throw new RequestError(
    'bad-request',
    `interval: expected seconds between ${SHORTEST_INTERVAL} and ${LONGEST_INTERVAL}`,
  );
}

function rangeOf(request: Request): readonly [number, number] {
  const { range } = request as Record<string, unknown>;
  if (range === undefined) return USUAL_RANGE;
  const match = /^([0-9]{1,5})-([0-9]{1,5})$/.exec(typeof range === 'string' ? range : '');
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match === null || first < 1 || last > 65_535 || first > last) {
    throw new RequestError('bad-request', 'range: expected ports such as 10000-20000');
  }
  return [first, last];
}
