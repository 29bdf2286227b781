import { deserialize, serialize } from 'node:v8';
import { defaults, type Settings } from '../../src/config/load.ts';
import { createDataPath } from '../../src/daemon/data-path/data-path.ts';
import type { Answers, DataPathReport, Order, Question } from '../../src/daemon/messages.ts';
import { createRecorder, openRecording, recordingMemory } from '../../src/daemon/recording.ts';
import type { RunningDaemon } from '../../src/daemon/serve.ts';
import { deviationOf } from '../../src/firewall/deviation.ts';
import type { Firewall, Traffic } from '../../src/firewall/firewall.ts';
import { createModelFirewall } from '../../src/firewall/model.ts';
import { createInspector, type Inspector } from '../../src/inspector.ts';
import type { HeldPacket } from '../../src/intercept/interceptor.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';
import { udpPacket } from '../packets.ts';
import { type Host, host } from '../scene.ts';

export const alice = host('192.0.2.1');
export const bob = host('10.0.0.5');

/** What the data path did in one go: packets released, calls that were looked at, and how long it took. */
export interface Turn {
  readonly released: number;
  readonly looked: number;
  readonly ms: number;
}

/** A daemon without threads: its data path turns when it is asked something or is sent a packet. */
export interface InProcess {
  readonly daemon: RunningDaemon;
  readonly inspector: Inspector;
  /** What the data path commits to. */
  readonly firewall: Pick<Firewall, 'list' | 'commit'>;
  /** One SIP message. */
  send(from: Host, to: Host, text: string): void;
  wait(ms: number): void;
  readonly turns: Turn[];
  /** Packets that are waiting whenever the data path looks. */
  load: number;
  readonly said: string[];
  /** How many are told what happens. */
  readonly listeners: number;
  readonly media: Map<string, Traffic & { readonly sent?: number }>;
  settings: Settings;
  readonly now: number;
  /** The data path does not answer. */
  deaf: boolean;
}

export function startInProcess(changes: Partial<Settings> = {}): InProcess {
  let now = 1_000_000;
  let settings: Settings = {
    ...defaults(),
    ...changes,
    caps: { ...defaults().caps, callsPerHost: 100_000, offersPerSecond: 100_000, calls: 100_000 },
    timers: { ...defaults().timers, drain: 0 },
  };
  const orders: Order[] = [];
  const waiting: HeldPacket[] = [];
  const answers = new Map<number, unknown>();
  const listeners = new Set<Parameters<RunningDaemon['subscribe']>[0]>();
  const media = new Map<string, Traffic & { readonly sent?: number }>();
  const turns: Turn[] = [];
  const posted: Buffer[] = [];
  const said: string[] = [];
  let released = 0;
  let looked = 0;
  let asked = 0;
  const inner = createInspector(() => settings);
  const inspector: Inspector = {
    ...inner,
    *calls() {
      for (const call of inner.calls()) {
        looked++;
        yield call;
      }
    },
  };
  const firewall = createModelFirewall();
  const nameOf = ({ id }: Pinhole) => id;
  const recording = recordingMemory(256 * 1024);
  const filler = udpPacket(alice, bob, '\r\n\r\n');
  const path = createDataPath({
    identity: { machine: '00000001', boot: null },
    ends: {
      interceptor: {
        receive: () => {
          const packets = waiting.splice(0);
          for (let one = 0; one < self.load; one++) packets.push({ bytes: filler, handle: 0 });
          return packets;
        },
        release: () => {
          released++;
        },
        drop() {},
        counters: () => ({ queueFull: 0 }),
        news: () => [],
        close() {},
      },
      firewall,
    },
    inspector,
    recorder: createRecorder(recording),
    settings: () => settings,
    changeSettings() {},
    clock: () => now,
    pause() {},
    beat() {},
    nextOrder: () => orders.shift() ?? null,
    post(report: DataPathReport) {
      posted.push(serialize(report));
    },
  });
  path.start({});

  function turn(): void {
    const before = { released, looked, at: performance.now() };
    path.turn();
    const ms = performance.now() - before.at;
    turns.push({ released: released - before.released, looked: looked - before.looked, ms });
    for (const report of posted.splice(0)) take(deserialize(report) as DataPathReport);
  }

  function take(report: DataPathReport): void {
    if (report.type === 'answer') answers.set(report.id, report.answer);
    if (report.type !== 'batch') return;
    for (const listener of listeners) listener(report.occasions, report.notes);
  }

  async function ask<Q extends Question>(question: Q): Promise<Answers[Q['type']]> {
    await Promise.resolve();
    if (self.deaf) throw new Error('the data path gave no answer');
    const id = ++asked;
    orders.push({ type: 'ask', id, question });
    while (!answers.has(id)) turn();
    return answers.get(id) as Answers[Q['type']];
  }

  const daemon: RunningDaemon = {
    about: {
      platform: 'linux',
      description: ['NFQUEUE 0', 'nftables'],
      user: '_pinholed',
      startedAt: Date.now(),
      adopted: { calls: 0, pinholes: 0 },
    },
    supervised: true,
    blocked: null,
    recording: openRecording(recording),
    isJournalBehind: () => false,
    exchange: { send() {}, listen() {} },
    group: null,
    clock: () => now,
    settings: () => settings,
    configFile: null,
    ask,
    trafficOf: (id) => {
      const passed = media.get(id);
      return passed && { sent: null, ...passed };
    },
    traffic: () => ({ packets: 0, bytes: 0 }),
    compare: (intended) => deviationOf(firewall.list().map(nameOf), intended.map(nameOf)),
    repair: () => void orders.push({ type: 'repair' }),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    say: (level, text) => void said.push(`${level} ${text}`),
    reload() {},
    stop() {},
  };

  const self: InProcess = {
    daemon,
    inspector: inner,
    firewall,
    send(from, to, text) {
      now += 1;
      waiting.push({ bytes: udpPacket(from, to, text), handle: 0 });
      turn();
    },
    wait(ms) {
      now += ms;
      turn();
      turn();
    },
    turns,
    load: 0,
    said,
    get listeners() {
      return listeners.size;
    },
    media,
    get settings() {
      return settings;
    },
    set settings(next) {
      settings = next;
    },
    get now() {
      return now;
    },
    deaf: false,
  };
  return self;
}
