import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { defaults, type Settings } from '../../src/config/load.ts';
import { createDataPath } from '../../src/daemon/data-path/data-path.ts';
import type { DataPathReport, Order } from '../../src/daemon/messages.ts';
import { createModelFirewall } from '../../src/firewall/model.ts';
import type { CallReport } from '../../src/history/call-report.ts';
import { createHistory, type History } from '../../src/history/history.ts';
import type { Occasion } from '../../src/inspector/happening.ts';
import { createInspector, type InspectorSettings } from '../../src/inspector.ts';
import { type Frame, mergeCaptures, openCapture } from '../../src/intercept/capture.ts';
import type { HeldPacket } from '../../src/intercept/interceptor.ts';
import type { PacketView } from '../../src/packet/ip.ts';
import { findPacket } from '../../src/packet/link.ts';
import { createPacketReader } from '../../src/packet/reader.ts';
import { explainCall, readExplained } from '../../src/report/live/explain.ts';
import { callJson, placeJson } from '../../src/report/replay/json.ts';
import { createReplay } from '../../src/report/replay/replay.ts';
import { callText } from '../../src/report/replay/text.ts';
import { terminalStyle } from '../../src/report/style.ts';
import { sharedDir, withoutShared } from '../shared.ts';

const own = fileURLToPath(new URL('../../pcaps', import.meta.url));
const settings: Settings & InspectorSettings = {
  ...defaults(),
  trustMidstream: true,
  caps: { ...defaults().caps, calls: 1e6, callsPerHost: 1e6, offersPerSecond: 1e6, history: 1e6 },
};
const everybody: InspectorSettings = { ...settings, inside: 'any' };

function replayed(file: string): { readonly calls: readonly CallReport[]; readonly lastAt: number } {
  const options = { files: [file], tunnels: false, sipPorts: null, window: { from: null, to: null } };
  const { frame, finish } = createReplay({ ...options, settings: everybody });
  for (const one of mergeCaptures([openCapture(file)])) frame(one);
  const { calls, lastAt } = finish([]);
  return { calls, lastAt: lastAt ?? 0 };
}

/** The same frames through the daemon's data path, and what it told through the history. */
function daemonHistory(file: string): History {
  const history = createHistory({
    endedCalls: () => 1e6,
    callsUnderWay: () => 1e6,
    trafficOf: () => undefined,
  });
  let now = 0;
  let waiting: readonly HeldPacket[] = [];
  const orders: Order[] = [];
  const model = createModelFirewall();
  const reader = createPacketReader({ maxBytes: settings.caps.reassemblyBytes });
  const path = createDataPath({
    identity: { machine: '00000001', boot: null },
    ends: {
      interceptor: {
        receive: () => {
          const packets = waiting;
          waiting = [];
          return packets;
        },
        release() {},
        counters: () => ({}),
        news: () => [],
        drop() {},
        close() {},
      },
      firewall: model,
    },
    inspector: createInspector(() => everybody),
    settings: () => settings,
    changeSettings() {},
    clock: () => now,
    pause() {},
    beat() {},
    nextOrder: () => orders.shift() ?? null,
    post: (report: DataPathReport) => {
      // As it comes out of the channel between the threads.
      if (report.type === 'batch') history.take(structuredClone(report.occasions) as Occasion[]);
    },
  });
  for (const frame of mergeCaptures([openCapture(file)])) {
    now = Math.max(now, frame.time);
    path.turn();
    const bytes = packetIn(frame);
    waiting = [{ bytes, handle: 0 }];
    path.turn();
    const packet = reader.read(bytes, now);
    if (packet === null || typeof packet === 'string') continue;
    const pinhole = passes(packet);
    if (pinhole === null) continue;
    orders.push({ type: 'traffic', seen: [[pinhole, 'came']], complete: true });
    path.turn();
  }
  path.flush();
  return history;

  /** Media counts for the pinhole that passes it, SIP for none. */
  function passes({ protocol, source, sourcePort, destination, destinationPort, payload }: PacketView) {
    if (protocol !== 'udp') return null;
    const flow = { protocol, source, sourcePort, destination, destinationPort };
    return model.ask(flow, payload.length, now).pinhole;
  }
}

function packetIn({ linkType, bytes }: Frame): Buffer {
  const found = findPacket(linkType, bytes);
  return typeof found === 'string' ? Buffer.alloc(0) : found;
}

/**
 * What has to be equal: everything but packets, which only a filter's counters know here, and pinholes that are
 * about to close, whose last moment replay takes as having come.
 */
/** A daemon takes a copy of a message for one that was sent again, and has no more to say of a refusal than its reason. */
function comparable(call: CallReport, lastAt: number) {
  const { pinholes, messages, refusals, ...rest } = callJson(call, placeJson(false), false);
  return {
    ...rest,
    messages: messages.map(({ copies, repeats, ...line }) => ({ ...line, repeats: repeats + copies })),
    refusals: refusals.map(({ why: _, ...refusal }) => refusal),
    pinholes: pinholes.map(({ packets: _, closedAt, closedFrame, closeReason, ...pinhole }) => {
      const isOpen = closedAt === null || closedAt * 1000 > lastAt;
      return { ...pinhole, ...(isOpen ? {} : { closedAt, closedFrame, closeReason }) };
    }),
  };
}

function compare(file: string): number {
  const { calls, lastAt } = replayed(file);
  const history = daemonHistory(file);
  assert.equal(history.size, calls.length, 'number of legs');
  for (const call of calls) {
    const remembered = history.get(call.legId);
    assert.ok(remembered, `leg ${call.legId} is remembered`);
    const limited = { ...call, messages: call.messages.slice(0, 200) };
    limited.messagesOmitted += call.messages.length - limited.messages.length;
    assert.deepEqual(comparable(remembered.report, lastAt), comparable(limited, lastAt));
  }
  return calls.length;
}

describe('explain says what replay says', () => {
  for (const name of readdirSync(own).filter((file) => file.endsWith('.pcap'))) {
    // In these nobody calls: what looks like SIP is none, or answers nothing.
    const least = /without-invite|slipstream/.test(name) ? 0 : 1;
    it(`of ${name}`, () => assert.ok(compare(join(own, name)) >= least));
  }

  it('of captures that nobody here made', { skip: withoutShared }, () => {
    const directory = join(sharedDir, 'captures');
    const files = readdirSync(directory, { recursive: true })
      .map((name) => join(directory, String(name)))
      .filter((path) => /\.pcap(ng)?$/.test(path) && existsSync(path));
    let calls = 0;
    for (const file of files) {
      try {
        calls += compare(file);
      } catch (error) {
        if ((error as Error).name === 'CaptureError') continue;
        throw new Error(`${file}: ${(error as Error).message}`);
      }
    }
    assert.ok(calls > 100, `${calls} calls in ${files.length} captures`);
  });
});

describe('explained calls', () => {
  it('come back from the wire as they went', () => {
    const file = join(own, 'reinvite-moves-port.pcap');
    const history = daemonHistory(file);
    for (const { legId } of replayed(file).calls) {
      const wire = JSON.parse(JSON.stringify(explainCall(history.get(legId)!, 0)));
      const again = { adopted: false, pinholesOmitted: 0, report: readExplained(wire) };
      assert.deepEqual(JSON.parse(JSON.stringify(explainCall(again, 0))), wire);
    }
  });

  it('have a ladder, pinholes and refusals in words', () => {
    const history = daemonHistory(join(own, 'attack-sdp-third-host.pcap'));
    const [legId] = history.find(history.ended()[Symbol.iterator]().next().value!.report.callId);
    const report = readExplained(explainCall(history.get(legId!)!, 0));
    const text = [...callText(report, terminalStyle({}, {}))].join('');
    assert.match(text, /A --> B {2}INVITE {2}audio/);
    assert.match(text, /Refused\n {4}foreign-address #\d+/);
  });
});
