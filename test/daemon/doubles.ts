import type { Ingress } from '../../src/address/ingress.ts';
import { type Call, legIdOf, newCall } from '../../src/call/call.ts';
import { defaults, type Settings } from '../../src/config/load.ts';
import type { DataPathReport, Order } from '../../src/daemon/messages.ts';
import { type Firewall, FirewallError } from '../../src/firewall/firewall.ts';
import { createModelFirewall } from '../../src/firewall/model.ts';
import { newStats } from '../../src/inspector/stats.ts';
import type { CallRecord, Inspection, Inspector } from '../../src/inspector.ts';
import type { HeldPacket, Interceptor } from '../../src/intercept/interceptor.ts';
import type { Change } from '../../src/pinhole/change.ts';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';

/** A pinhole towards 192.0.2.10 on `port`, of call `legId`. */
export function pinhole(port: number, legId = '00000000000000aa'): Pinhole {
  return {
    id: `udp 198.51.100.1 192.0.2.10 ${port}`,
    direction: 'in',
    protocol: 'udp',
    sources: ['198.51.100.1'],
    sourcePort: null,
    address: '192.0.2.10',
    ports: [port, port + 1],
    translation: null,
    kind: 'rtp+rtcp',
    media: 'audio',
    label: `pinholed:${legId}:0`,
  };
}

export function settingsWith(changes: Partial<Settings>): Settings {
  return { ...defaults(), ...changes };
}

/** Time that stands still until it is moved. */
export function createClockDouble(start = 1000) {
  let now = start;
  return {
    now: () => now,
    pass(ms: number) {
      now += ms;
    },
  };
}

/** Hands over the batches it was given and writes into `log` what is done with each packet. */
export function createInterceptorDouble(log: string[]) {
  const batches: (readonly HeldPacket[] | Error)[] = [];
  const timeouts: number[] = [];
  let handles = 0;
  const interceptor: Interceptor = {
    receive(timeout) {
      timeouts.push(timeout);
      const batch = batches.shift() ?? [];
      if (batch instanceof Error) throw batch;
      return batch;
    },
    release: (packet) => log.push(`release ${packet.bytes}`),
    drop: (packet) => log.push(`drop ${packet.bytes}`),
    counters: () => ({}),
    news: () => [],
    close: () => log.push('close interceptor'),
  };
  return {
    interceptor,
    timeouts,
    arrive: (...texts: string[]) =>
      batches.push(texts.map((text) => ({ bytes: Buffer.from(text), handle: ++handles }))),
    fail: (error: Error) => batches.push(error),
  };
}

/** The model firewall, with its commits written into `log`; refuses as long as `refuse` is set. */
export function createFirewallDouble(log: string[]) {
  const model = createModelFirewall();
  const control: { refuse: FirewallError | Error | null; asked: number; takes: () => void } = {
    refuse: null,
    asked: 0,
    takes: () => {},
  };
  const firewall: Firewall = {
    ...model,
    commit(change) {
      control.asked++;
      control.takes();
      if (control.refuse !== null) throw control.refuse;
      const counts = model.commit(change);
      log.push(`commit +[${portsOf(change.open)}] -[${portsOf(change.close)}]`);
      return counts;
    },
    clear() {
      model.clear();
      log.push('clear firewall');
    },
    close: () => log.push('close firewall'),
  };
  return { firewall, model, control };
}

export const busy = () => new FirewallError('DIOCADDRULE: EBUSY', 'EBUSY', true);

function portsOf(pinholes: readonly Pinhole[]): string {
  return pinholes.map(({ ports }) => ports[0]).join(' ');
}

/** A call of which nothing is known but its first request. */
export function callOf(callId: string): Call {
  const request = { callId, fromTag: 'tag', from: 'sip:a@example.org', to: 'sip:b@example.org', cseq: 1 };
  const arrival = {
    source: { address: '198.51.100.1', port: 5060 },
    destination: { address: '192.0.2.10', port: 5060 },
    now: 0,
  };
  return newCall(legIdOf(callId, 0), request, arrival, [], Number.POSITIVE_INFINITY);
}

/** What an inspector double does about one packet or deadline. */
export type Script = Partial<Inspection>;

/** Answers with what the script has for a packet's text; keeps the set of pinholes that it has asked for. */
export function createInspectorDouble() {
  const open = new Map<string, Pinhole>();
  const script = new Map<string, () => Script>();
  const adopted: CallRecord[] = [];
  const traffic: string[] = [];
  const learned: (Ingress | null)[] = [];
  const double = {
    deadline: Number.POSITIVE_INFINITY,
    onTick: (_most: number): Script => ({}),
    reloads: 0,
  };

  function inspection(result: Script): Inspection {
    for (const one of result.change?.open ?? []) open.set(one.id, one);
    for (const one of result.change?.close ?? []) open.delete(one.id);
    return { change: null, verdict: 'release', events: [], messages: [], packet: null, ...result };
  }

  const inspector: Inspector = {
    inspect: (bytes) => inspection(script.get(bytes.toString())?.() ?? {}),
    inspectPacket: () => inspection({}),
    inspectCopy: () => inspection({}),
    refuse: () => inspection({}),
    tick: (_, most = Number.POSITIVE_INFINITY) => {
      double.deadline = Number.POSITIVE_INFINITY;
      return inspection(double.onTick(most));
    },
    nextDeadline: () => double.deadline,
    traffic: (id, _, way = 'came') => {
      traffic.push(`${id} ${way}`);
    },
    counted: () => inspection({}),
    missingAudio: () => null,
    withoutAudio: 0,
    staticMedia: () => [],
    end: () => inspection({}),
    endAll: () => inspection({}),
    renumber: () => inspection({}),
    reachedAt: (host) => [host],
    dump: (legId) => {
      const call = adopted.find((one) => one.call.legId === legId)?.call;
      return { call: call ?? { ...callOf('forgotten'), legId }, held: [] };
    },
    share: (records) => {
      adopted.push(...records);
      return { ...inspection({}), refused: 0 };
    },
    keep() {},
    adopt: (records) => {
      adopted.push(...records);
      return inspection({
        change: { open: records.flatMap(({ held }) => held.map((one) => one.pinhole)), close: [] },
      });
    },
    directionChanges: () => [],
    remember: () => {},
    forget: () => {},
    learn: (ingress) => {
      learned.push(ingress);
    },
    reload: () => {
      double.reloads++;
    },
    calls: () => adopted.map(({ call }) => call),
    call: (legId) => adopted.find(({ call }) => call.legId === legId)?.call ?? null,
    held: (legId) => [...heldBy(legId)],
    pinholes: () => open.values(),
    sizes: () => ({ calls: adopted.length, pinholes: open.size }),
    stats: newStats(),
  };

  function* heldBy(legId: string) {
    for (const one of open.values()) {
      if (!one.label.includes(legId)) continue;
      yield {
        pinhole: one,
        slot: '0',
        openedAt: 0,
        candidate: false,
        agreed: true,
        trafficAt: null,
        until: Number.POSITIVE_INFINITY,
        reason: null,
      };
    }
  }

  return {
    inspector,
    double,
    adopted,
    traffic,
    /** What the inspector does when a packet of this text comes. */
    on: (text: string, act: () => Script) => script.set(text, act),
    opens: (text: string, ...ports: number[]) =>
      script.set(text, () => ({ change: { open: ports.map((port) => pinhole(port)), close: [] } })),
  };
}

export function changeOf(open: readonly number[], close: readonly number[] = []): Change {
  return { open: open.map((port) => pinhole(port)), close: close.map((port) => pinhole(port)) };
}

/** Both ends of the talk between the threads, without threads. */
export function createPostDouble() {
  const orders: Order[] = [];
  const reports: DataPathReport[] = [];
  return {
    orders,
    reports,
    nextOrder: () => orders.shift() ?? null,
    post: (report: DataPathReport) => reports.push(report),
  };
}
