/** sipp on both sides: its built-in scenarios, and calls with media whose order matters. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { beginningOf } from '../../lab/demo/capture.ts';
import { scenarios, xml } from '../../lab/demo/scenarios.ts';
import { eventually, kernelState, mediaFlows } from '../../lab/kernel.ts';
import { addressOf, createTopology, type HostName, type Topology } from '../../lab/topology.ts';
import {
  assertWhole,
  type Exchange,
  exchange,
  openedIn,
  startCapture,
  temporaryDirectory,
  watch,
  without,
} from './programs.ts';

const RECORDINGS = '/usr/share/sip-tester';
const CLIENT_MEDIA = 20_000;
const SERVER_MEDIA = 30_000;
const client = addressOf('client');
const server = addressOf('server');

describe('sipp through the firewall', { skip: without('sipp', 'tcpdump') }, () => {
  const directory = temporaryDirectory();
  let topology: Topology;
  let daemon: Daemon;

  before(async () => {
    mkdirSync(directory, { recursive: true });
    symlinkSync(RECORDINGS, join(directory, 'pcap'));
    topology = await createTopology();
    daemon = await startDaemon(topology);
  });

  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  function sipp(host: HostName, args: readonly string[]) {
    const own =
      host === 'client' ? { address: client, media: CLIENT_MEDIA } : { address: server, media: SERVER_MEDIA };
    const command = [
      ...[
        'sipp',
        ...args,
        '-i',
        own.address,
        '-mi',
        own.address,
        '-mp',
        `${own.media}`,
        '-p',
        '5060',
        '-nostdin',
      ],
      ...['-timeout', '30', '-timeout_error'],
    ];
    // The built-in scenarios look for recordings in pcap/, and sipp writes its logs, in the current directory.
    return watch(topology.spawn(host, 'env', '-C', directory, 'TERM=dumb', ...command));
  }

  /** Plays `calls` calls from the client, all begun within a second; checks that nothing is left. */
  async function play(
    caller: readonly string[],
    callee: readonly string[],
    calls: number,
  ): Promise<Exchange> {
    const captures = await Promise.all([startCapture(topology, 'client'), startCapture(topology, 'server')]);
    const number = ['-m', `${calls}`];
    const answering = sipp('server', [...callee, ...number]);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const calling = sipp('client', [...caller, ...number, '-r', `${calls}`, server]);
    assert.deepEqual(await Promise.all([calling.ended, answering.ended]), [0, 0]);
    await eventually(
      () => [...kernelState(topology).elements, ...mediaFlows(topology)],
      (left) => left.length === 0,
    );
    const [atClient, atServer] = await Promise.all(captures.map((capture) => capture.stop()));
    const result = exchange(client, atClient!, atServer!);
    assertWhole(result, 0);
    return result;
  }

  const pinhole = (to: string, port: number) =>
    `audio udp ${to}:${port}-${port + 1} from ${to === client ? server : client}`;

  it('uac_pcap and an echoing uas: speech and DTMF there and back', async () => {
    const from = daemon.lines.length;
    const { out, back } = await play(['-sn', 'uac_pcap'], ['-sn', 'uas', '-rtp_echo'], 3);
    assert.equal(out.streams.all, 3);
    assert.ok(out.media.sent > 3 * 200);
    assert.equal(back.media.sent, out.media.sent);
    assert.deepEqual(
      [...new Set(openedIn(daemon, from))].sort(),
      // All calls have the uas's one port in common.
      [...[0, 4, 8].map((n) => pinhole(client, CLIENT_MEDIA + n)), pinhole(server, SERVER_MEDIA)].sort(),
    );
  });

  for (const [caller, callee] of [
    ['uac', 'uas'],
    ['regexp', 'uas'],
    ['branchc', 'branchs'],
  ] as const) {
    it(`${caller} and ${callee}: opens what they announce, and closes it`, async () => {
      const from = daemon.lines.length;
      const { out } = await play(['-sn', caller], ['-sn', callee], 4);
      assert.ok(out.sip.sent >= 3 * 4);
      const wanted = [pinhole(client, CLIENT_MEDIA), pinhole(server, SERVER_MEDIA)];
      assert.deepEqual([...new Set(openedIn(daemon, from))].sort(), wanted.sort());
    });
  }

  const recording = (ms: number) => {
    const file = join(directory, `speech-${ms}.pcap`);
    writeFileSync(file, beginningOf(readFileSync(join(RECORDINGS, 'g711a.pcap')), ms));
    return file;
  };

  const kinds = { UDP: ['moves port', 'hold, resume'], TCP: ['early media', 'moves port', 'cancelled'] };
  for (const [transport, names] of Object.entries(kinds)) {
    for (const { name, caller, callee } of scenarios(recording).filter(({ name }) => names.includes(name))) {
      it(`${name}, over ${transport}: media from the message on that allows it`, async () => {
        const from = daemon.lines.length;
        const [calling, called] = [join(directory, 'caller.xml'), join(directory, 'callee.xml')];
        writeFileSync(calling, xml(name, caller));
        writeFileSync(called, xml(name, callee));
        const over = transport === 'TCP' ? ['-t', 't1'] : [];
        const { out, back } = await play(['-sf', calling, ...over], ['-sf', called, ...over], 3);
        assert.ok(back.streams.all >= 3);
        assert.ok(name === 'cancelled' || out.streams.all >= 3);
        const offset = name === 'moves port' ? [0, 2] : [0];
        const wanted = [0, 4, 8].flatMap((call) => [
          ...offset.map((more) => pinhole(client, CLIENT_MEDIA + call + more)),
          pinhole(server, SERVER_MEDIA + call),
        ]);
        assert.deepEqual([...new Set(openedIn(daemon, from))].sort(), wanted.sort());
      });
    }
  }
});
