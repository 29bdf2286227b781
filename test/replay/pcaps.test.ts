import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ReplayReport } from '../../src/report/replay/model.ts';
import { replayFiles, type Settings } from '../captures/replayed.ts';
import { networks } from '../scene.ts';

const directory = fileURLToPath(new URL('../../pcaps/', import.meta.url));

/** Who is who, from pcaps/README.md. */
const HOSTS: Readonly<Record<string, string>> = {
  '192.0.2.10': 'client',
  '2001:db8:1::10': 'client6',
  '203.0.113.66': 'stranger',
  '198.51.100.20': 'pbx',
  '2001:db8:2::20': 'pbx6',
  '198.51.100.30': 'gateway',
  '198.51.100.40': 'workstation',
};

interface Expected {
  /** `host first-last < sources: why it closed`; `open` when the capture ends before. In order of opening. */
  readonly pinholes: readonly string[];
  /** Flows of which packets are blocked; every other flow passes whole. */
  readonly blocked?: readonly string[];
  readonly refusals?: readonly string[];
  readonly end?: string;
  readonly settings?: Settings;
}

const CLIENT = 'client 49170-49171 < pbx: bye';
const PBX = 'pbx 40000-40001 < client: bye';
const PLAIN: Expected = { pinholes: [CLIENT, PBX] };

const EXPECTED: Readonly<Record<string, Expected>> = {
  'basic-call': PLAIN,
  'early-media': PLAIN,
  'delayed-offer': { pinholes: [PBX, CLIENT] },
  prack: PLAIN,
  'prack-offer-in-183': { pinholes: [PBX, CLIENT] },
  // Media came to the old port until it came to the new one: then the old one goes.
  'update-early': {
    pinholes: ['client 49170-49171 < pbx: moved', PBX, 'client 49180-49181 < pbx: bye'],
  },
  // The client's new port is reached by the states of the pbx's: no media proves it, so the old one stays.
  'reinvite-moves-port': {
    pinholes: [
      CLIENT,
      'pbx 40000-40001 < client: moved',
      'client 49180-49181 < pbx: bye',
      'pbx 40010-40011 < client: bye',
    ],
  },
  'reinvite-refused': { pinholes: [CLIENT, PBX, 'client 49180-49181 < pbx: offer-refused'] },
  // The client's first packet is on its way before the gateway's, whose states let the others back.
  'direct-media-gateway': {
    pinholes: ['client 49170-49171 < pbx: answered', 'client 49170-49171 < pbx, gateway: bye'],
    refusals: ['foreign-address'],
    blocked: ['client:49170 > gateway:42000 refused'],
  },
  'hold-resume': PLAIN,
  'hold-zero-address': PLAIN,
  cancel: {
    pinholes: ['client 49170-49171 < pbx: cancelled', 'pbx 40000-40001 < client: cancelled'],
    end: 'cancelled',
  },
  busy: { pinholes: ['client 49170-49171 < pbx: call-failed'], end: 'failed' },
  'auth-407': PLAIN,
  // The second phone is announced by the proxy, at an address that is not the proxy's.
  forked: {
    pinholes: ['client 49170-49171 < pbx: replaced', PBX, 'client 49170-49171 < pbx, gateway: bye'],
    refusals: ['foreign-address'],
  },
  'lost-bye': {
    pinholes: ['client 49170-49171 < pbx: open', 'pbx 40000-40001 < client: open'],
    end: 'confirmed',
  },
  retransmissions: PLAIN,
  'tcp-split': { pinholes: [CLIENT, PBX, 'client 49180-49181 < pbx: bye'] },
  'tcp-reordered': PLAIN,
  'fragmented-invite': PLAIN,
  'fragmented-invite-ipv6': {
    pinholes: ['client6 49170-49171 < pbx6: bye', 'pbx6 40000-40001 < client6: bye'],
  },
  'ipv6-call': { pinholes: ['client6 49170-49171 < pbx6: bye', 'pbx6 40000-40001 < client6: bye'] },
  // Nothing says that 192.0.2.10 is 2001:db8:1::10.
  'ipv6-signalling-ipv4-media': {
    pinholes: [],
    refusals: ['foreign-address', 'foreign-address'],
    blocked: [
      'client:49170 > pbx:40000 refused',
      'client:49171 > pbx:40001 refused',
      'pbx:40000 > client:49170 refused',
      'pbx:40001 > client:49171 refused',
    ],
  },
  't38-fax': {
    pinholes: ['client 49170-49171 < pbx: moved', PBX, 'pbx 40020 < client: bye', 'client 49190 < pbx: bye'],
  },
  'rtcp-mux': {
    pinholes: ['client 49170-49171 < pbx: rtcp-mux', 'client 49170 < pbx: bye', 'pbx 40000 < client: bye'],
  },
  'rtcp-attribute': {
    pinholes: [
      'client 49170 < pbx: bye',
      'client 49185 < pbx: bye',
      'pbx 40000 < client: bye',
      'pbx 40105 < client: bye',
    ],
  },
  // 203.0.113.200 is a candidate that the client is not; the relay's port is not the pbx's to open.
  'ice-bundle': {
    pinholes: [
      'client 49170-49171 < pbx: rtcp-mux',
      'client 49172-49173 < pbx: bundled',
      'client 49170 < pbx, gateway: bye',
      'pbx 40000 < client, 203.0.113.200: bye',
    ],
    refusals: ['foreign-address', 'foreign-address'],
    blocked: ['client:49170 > gateway:42000 not-opened', 'pbx:40000 > 203.0.113.200:61170 refused'],
  },
  'phone-behind-nat': {
    pinholes: ['pbx 40000-40001 < 10.1.1.10, client: bye'],
    refusals: ['foreign-address'],
  },
  'one-way-audio-private-address': {
    pinholes: ['client 49170-49171 < pbx: answered', 'client 49170-49171 < 10.20.0.20, pbx: bye'],
    refusals: ['foreign-address'],
    blocked: ['client:49170 > 10.20.0.20:40000 nat'],
  },
  'one-way-audio-unannounced-source': {
    ...PLAIN,
    blocked: ['gateway:42000 > client:49170 wrong-source'],
  },
  'attack-spoofed-bye': { ...PLAIN, refusals: ['wrong-dialog'] },
  'attack-sdp-third-host': {
    pinholes: ['pbx 40000-40001 < gateway, stranger: bye'],
    refusals: ['foreign-address'],
    blocked: ['stranger:49170 > gateway:161 refused'],
  },
  'attack-rtp-spray': {
    ...PLAIN,
    blocked: [
      ...Array.from({ length: 30 }, (_, i) => {
        const port = 39_990 + i;
        const why = port === 40_000 || port === 40_001 ? 'wrong-source' : 'other-port';
        return `stranger:6000 > pbx:${port} ${why}`;
      }),
      'stranger:49170 > pbx:40000 wrong-source',
    ],
  },
  'attack-answer-without-invite': {
    pinholes: [],
    refusals: ['response-without-request'],
    blocked: ['stranger:49170 > pbx:40000 refused'],
  },
  'attack-register-slipstream': { pinholes: [] },
  'attack-invite-slipstream': {
    pinholes: [],
    refusals: ['response-without-request'],
    blocked: ['stranger:49170 > workstation:1194 refused'],
  },
};

const hostOf = (address: string) => HOSTS[address] ?? address;

function told({ calls, media, refusals }: ReplayReport) {
  return {
    pinholes: calls.flatMap((call) =>
      call.pinholes.map(({ address, ports: [first, last], sources, closeReason }) => {
        const ports = first === last ? first : `${first}-${last}`;
        const from = sources === 'any' ? 'any' : sources.map(hostOf).join(', ');
        return `${hostOf(address)} ${ports} < ${from}: ${closeReason ?? 'open'}`;
      }),
    ),
    blocked: media
      .filter(({ blocked }) => blocked > 0)
      .map(
        ({ source, sourcePort, destination, destinationPort, blocks }) =>
          `${hostOf(source)}:${sourcePort} > ${hostOf(destination)}:${destinationPort} ${blocks[0]?.reason}`,
      )
      .sort(),
    refusals: [...calls.flatMap((call) => call.refusals), ...refusals].map(({ reason }) => reason),
  };
}

describe('our own captures, replayed', () => {
  for (const [name, expected] of Object.entries(EXPECTED)) {
    it(name, () => {
      const report = replayFiles([`${directory}${name}.pcap`], expected.settings);
      assert.deepEqual(told(report), {
        pinholes: expected.pinholes,
        blocked: [...(expected.blocked ?? [])].sort(),
        refusals: expected.refusals ?? [],
      });
      assert.deepEqual([report.sip.malformed, report.damage], [0, []]);
      const [call] = report.calls;
      if (expected.pinholes.length > 0) assert.equal(call?.endReason ?? call?.state, expected.end ?? 'bye');
    });
  }

  it('trunk-many-calls: each of twenty calls has its two pinholes and closes them at its own end', () => {
    const { calls, media } = replayFiles([`${directory}trunk-many-calls.pcap`]);
    const ids = Array.from({ length: 20 }, (_, i) => `trunk-many-calls-${i + 1}`);
    assert.deepEqual(new Set(calls.map(({ callId }) => callId.replace(/@.*/, ''))), new Set(ids));
    const ports = new Set(calls.flatMap(({ pinholes }) => pinholes.map((one) => one.ports[0])));
    const announced = ids.flatMap((_, i) => [49_200 + 2 * i, 41_000 + 2 * i]);
    assert.deepEqual([...ports].sort(), announced.sort());
    for (const { pinholes, endedAt, endReason } of calls) {
      assert.equal(endReason, 'bye');
      assert.deepEqual(
        pinholes.map(({ closedAt, closeReason }) => [Math.round(closedAt! - endedAt!), closeReason]),
        [
          [1000, 'bye'],
          [1000, 'bye'],
        ],
      );
    }
    assert.ok(media.every(({ blocked }) => blocked === 0));
  });

  it('have all been looked at', () => {
    const names = readdirSync(directory).flatMap((name) =>
      name.endsWith('.pcap') ? [name.slice(0, -5)] : [],
    );
    assert.deepEqual(names.sort(), [...Object.keys(EXPECTED), 'trunk-many-calls'].sort());
  });

  const REMEDIES: readonly (readonly [name: string, settings: Settings])[] = [
    ['direct-media-gateway', { mediaHosts: networks('198.51.100.30') }],
    ['ipv6-signalling-ipv4-media', { mediaHosts: networks('192.0.2.10', '198.51.100.20') }],
    ['one-way-audio-unannounced-source', { mediaSource: 'any' }],
  ];
  for (const [name, settings] of REMEDIES) {
    it(`${name}: passes whole with the settings that the report advises`, () => {
      const { media } = replayFiles([`${directory}${name}.pcap`], settings);
      assert.ok(media.length > 0 && media.every(({ blocked }) => blocked === 0));
    });
  }
});
