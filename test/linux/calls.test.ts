import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState, mediaFlows, translations } from '../../lab/kernel.ts';
import { externalAddress, natRules } from '../../lab/nat.ts';
import { createStage, type Stage, type StageOptions, splits } from '../../lab/stage.ts';
import { createTopology, type HostName, type Topology, type TopologyOptions } from '../../lab/topology.ts';
import type { Address } from '../../src/address/address.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { sdp } from '../scene.ts';
import { createDialog } from './dialog.ts';

const WAYS: readonly (readonly [name: string, options: StageOptions])[] = [
  ['UDP over IPv4', { family: 4 }],
  ['UDP over IPv6', { family: 6 }],
  ['TCP over IPv4', { family: 4, split: splits['in the m= line']! }],
  ['TCP over IPv6', { family: 6, split: splits['between headers and body']! }],
];

/** `udp client > server 4000`: elements with the hosts' names in place of their addresses. */
function named(stage: Stage): string[] {
  const names = (['client', 'server', 'gateway', 'stranger'] as const).map((host) => [
    stage[host].address,
    host,
  ]);
  return stage
    .kernel()
    .elements.map((element) =>
      [...names, [stage.relay, 'relay']].reduce(
        (text, [address, name]) => text.replaceAll(` ${address} `, ` ${name} `),
        element,
      ),
    )
    .sort();
}

/** Elements for RTP and RTCP. */
function both(from: string, to: string, port: number): string[] {
  return [`udp ${from} > ${to} ${port}`, `udp ${from} > ${to} ${port + 1}`];
}

const TIMERS = 'timers: { drain: 0, mux-grace: 0, forks: 1s, old-port: 1s, after-bye: 1s }';

scenarios('calls through the firewall', { changes: TIMERS });
scenarios('calls of a PBX behind NAT, which inside hosts may send nothing through but what is opened', {
  rules: natRules,
  external: externalAddress,
  changes: `${TIMERS}
inside: [10.0.1.0/24, 'fd00:0:0:1::/64']
media-hosts: []
outbound: true
nat:
  - {external: ${externalAddress(4)}, hosts: [10.0.1.10]}
  - {external: '${externalAddress(6)}', hosts: ['fd00:0:0:1::10']}`,
});

interface Setting extends TopologyOptions {
  readonly changes: string;
  /** What the client is seen as from outside. */
  readonly external?: (family: 4 | 6) => Address;
}

function scenarios(name: string, setting: Setting): void {
  describe(name, { skip: withoutRoot }, () => inSetting(setting));
}

function inSetting({ rules, external, changes }: Setting): void {
  let topology: Topology;
  let daemon: Daemon;
  /** Connections of a stage that was made before are of no use: nobody knows them any more. */
  let isForgotten = false;
  const behind = (options: StageOptions): StageOptions =>
    external === undefined ? options : { ...options, external: external(options.family) };

  before(async () => {
    topology = await createTopology(rules === undefined ? {} : { rules });
    daemon = await startDaemon(topology, { changes });
  });

  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  async function nothingLeft(stage: Stage): Promise<void> {
    assert.deepEqual(stage.kernel(), { elements: [], records: [] });
    assert.deepEqual(translations(topology), []);
    await eventually(
      () => mediaFlows(topology),
      (flows) => flows.length === 0,
    );
  }

  /** One test that fails must not make the others fail. */
  afterEach(async () => {
    if (kernelState(topology).elements.length === 0 && mediaFlows(topology).length === 0) return;
    await daemon.stop();
    await daemon.restart();
    topology.firewall('conntrack', '-F');
    isForgotten = true;
  });

  for (const [way, options] of WAYS) {
    describe(way, () => {
      let stage: Stage;
      before(async () => {
        stage = await createStage(topology, behind(options));
      });

      beforeEach(async () => {
        if (!isForgotten) return;
        stage = await createStage(topology, behind(options));
        isForgotten = false;
      });

      for (const [caller, callee] of [
        ['client', 'server'],
        ['server', 'client'],
      ] as const satisfies readonly (readonly [HostName, HostName])[]) {
        it(`passes the media of a call from ${caller} to ${callee}, of nobody else, and nothing after it`, async () => {
          const call = createDialog(stage, caller, callee);
          await stage.play(stage.blocked(`${caller}:4000`, `${callee}:6000`));
          await stage.play(
            call.asks('INVITE', { body: call.offer([4000]) }),
            call.answers('180 INVITE'),
            call.answers('200 INVITE', { body: call.answer([6000]) }),
            stage.passes(`${callee}:6000`, `${caller}:4000`),
            stage.passes(`${caller}:4000`, `${callee}:6000`),
            call.asks('ACK', { to: 'b' }),
            stage.passes(`${callee}:6001`, `${caller}:4001`),
            stage.passes(`${caller}:4001`, `${callee}:6001`),
            stage.passes(`${callee}:7000`, `${caller}:4000`),
          );
          assert.deepEqual(
            named(stage),
            [...both(caller, callee, 6000), ...both(callee, caller, 4000)].sort(),
          );
          await stage.play(
            stage.blocked('stranger:6000', `${caller}:4000`),
            stage.blocked('stranger:4000', `${callee}:6000`),
            stage.blocked('gateway:6000', `${caller}:4000`),
            stage.blocked(`${callee}:6000`, `${caller}:4002`),
            stage.blocked(`${callee}:6002`, `${caller}:3999`),
            stage.blocked(`${caller}:4002`, `${callee}:6002`),
          );
          await stage.play(
            call.asks('BYE', { to: 'b', cseq: 2 }),
            stage.passes(`${caller}:4000`, `${callee}:6000`),
          );
          await stage.play(call.answers('200 BYE', { cseq: 2 }));
          await nothingLeft(stage);
          await stage.play(
            stage.blocked(`${caller}:4000`, `${callee}:6000`),
            stage.blocked(`${callee}:6000`, `${caller}:4000`),
          );
        });
      }

      it('passes early media, and what an early answer promised', async () => {
        const call = createDialog(stage);
        await stage.play(
          call.asks('INVITE', { body: call.offer([4000]) }),
          stage.passes('server:6000', 'client:4000'),
          call.answers('183 INVITE', { body: call.answer([6000]) }),
          stage.passes('client:4000', 'server:6000'),
          stage.passes('server:6000', 'client:4000'),
          call.answers('200 INVITE', { body: call.answer([6000]) }),
          call.asks('ACK', { to: 'b' }),
          stage.passes('client:4000', 'server:6000'),
          ...call.hangUp(),
        );
        await nothingLeft(stage);
      });

      it('takes an offer in the 200 and its answer in the ACK', async () => {
        const call = createDialog(stage);
        await stage.play(
          call.asks('INVITE'),
          call.answers('200 INVITE', { body: call.answer([6000]) }),
          stage.blocked('server:6000', 'client:4000'),
          stage.passes('client:4000', 'server:6000'),
        );
        await stage.play(
          call.asks('ACK', { to: 'b', body: call.offer([4000]) }),
          stage.passes('server:6000', 'client:4000'),
          stage.passes('client:4000', 'server:6000'),
          ...call.hangUp(),
        );
        await nothingLeft(stage);
      });

      it('leaves one port to each side that agreed on rtcp-mux', async () => {
        const mux = (port: number) => [{ port, attributes: ['rtcp-mux'] }];
        const call = createDialog(stage);
        await stage.play(
          call.asks('INVITE', { body: call.offer(mux(4000)) }),
          stage.passes('server:6000', 'client:4001'),
          call.answers('200 INVITE', { body: call.answer(mux(6000)) }),
          stage.passes('client:4000', 'server:6000'),
          call.asks('ACK', { to: 'b' }),
        );
        await eventually(
          () => named(stage),
          (elements) => elements.join() === 'udp client > server 6000,udp server > client 4000',
        );
        await eventually(
          () => mediaFlows(topology).filter((flow) => /port=4001\b/.test(flow)),
          (flows) => flows.length === 0,
        );
        await stage.play(
          stage.passes('server:6000', 'client:4000'),
          stage.blocked('server:6000', 'client:4001'),
          ...call.hangUp(),
        );
        await nothingLeft(stage);
      });

      it('opens the new port before the old one goes when a re-INVITE moves a stream', async () => {
        const call = createDialog(stage);
        await stage.play(...call.establish(4000, 6000), stage.passes('server:6000', 'client:4000'));
        await stage.play(
          call.asks('INVITE', { to: 'b', cseq: 2, body: call.offer([4200]) }),
          stage.passes('server:6000', 'client:4200'),
          stage.passes('server:6000', 'client:4000'),
          call.answers('200 INVITE', { cseq: 2, body: call.answer([6000]) }),
          stage.passes('server:6000', 'client:4200'),
          stage.passes('client:4200', 'server:6000'),
          call.asks('ACK', { to: 'b', cseq: 2 }),
        );
        await eventually(
          () => named(stage),
          (elements) =>
            elements.join() === [...both('client', 'server', 6000), ...both('server', 'client', 4200)].join(),
        );
        await eventually(
          () => mediaFlows(topology).filter((flow) => /port=4000\b/.test(flow)),
          (flows) => flows.length === 0,
        );
        await stage.play(stage.blocked('server:6000', 'client:4000'), ...call.hangUp());
        await nothingLeft(stage);
      });

      it('leaves what was there when a re-INVITE is refused', async () => {
        const call = createDialog(stage);
        await stage.play(...call.establish(4000, 6000));
        const before = named(stage);
        await stage.play(
          call.asks('INVITE', { to: 'b', cseq: 2, body: call.offer([4200]) }),
          stage.passes('server:6000', 'client:4200'),
          call.answers('488 INVITE', { cseq: 2 }),
          call.asks('ACK', { to: 'b', cseq: 2 }),
        );
        assert.deepEqual(named(stage), before);
        await eventually(
          () => mediaFlows(topology),
          (flows) => flows.length === 0,
        );
        await stage.play(
          stage.blocked('server:6000', 'client:4200'),
          stage.passes('server:6000', 'client:4000'),
          ...call.hangUp(),
        );
        await nothingLeft(stage);
      });

      it('keeps the pinholes of a call on hold, for resuming', async () => {
        const call = createDialog(stage);
        await stage.play(...call.establish(4000, 6000));
        const before = named(stage);
        await stage.play(
          call.asks('INVITE', {
            to: 'b',
            cseq: 2,
            body: call.offer([{ port: 4000, attributes: ['sendonly'] }]),
          }),
          call.answers('200 INVITE', {
            cseq: 2,
            body: call.answer([{ port: 6000, attributes: ['recvonly'] }]),
          }),
          call.asks('ACK', { to: 'b', cseq: 2 }),
          stage.passes('client:4000', 'server:6000'),
        );
        assert.deepEqual(named(stage), before);
        await stage.play(
          call.asks('INVITE', { to: 'b', cseq: 3, body: call.offer([4000]) }),
          call.answers('200 INVITE', { cseq: 3, body: call.answer([6000]) }),
          call.asks('ACK', { to: 'b', cseq: 3 }),
          stage.passes('server:6000', 'client:4000'),
          ...call.hangUp(),
        );
        await nothingLeft(stage);
      });

      it('closes after CANCEL and 487', async () => {
        const call = createDialog(stage);
        await stage.play(
          call.asks('INVITE', { body: call.offer([4000]) }),
          call.answers('180 INVITE'),
          stage.passes('server:6000', 'client:4000'),
          call.asks('CANCEL'),
          call.answers('200 CANCEL'),
          call.answers('487 INVITE'),
          call.asks('ACK', { to: 'b' }),
        );
        await nothingLeft(stage);
        await stage.play(stage.blocked('server:6000', 'client:4000'));
      });

      it('keeps the call where a CANCEL comes too late (A23)', async () => {
        const call = createDialog(stage);
        await stage.play(
          call.asks('INVITE', { body: call.offer([4000]) }),
          call.asks('CANCEL'),
          call.answers('200 INVITE', { body: call.answer([6000]) }),
          call.answers('200 CANCEL'),
          call.asks('ACK', { to: 'b' }),
          stage.passes('client:4000', 'server:6000'),
          stage.passes('server:6000', 'client:4000'),
        );
        assert.deepEqual(named(stage), [
          ...both('client', 'server', 6000),
          ...both('server', 'client', 4000),
        ]);
        await stage.play(...call.hangUp());
        await nothingLeft(stage);
      });

      it('reads messages that take several IP packets, and passes them whole', async () => {
        const long = { headers: [`X-Filler: ${'f'.repeat(20_000)}`] };
        const call = createDialog(stage);
        await stage.play(
          call.asks('INVITE', { ...long, body: call.offer([4000]) }),
          stage.passes('server:6000', 'client:4000'),
          call.answers('200 INVITE', { ...long, body: call.answer([6000]) }),
          stage.passes('client:4000', 'server:6000'),
          call.asks('ACK', { to: 'b' }),
          ...call.hangUp(),
        );
        await nothingLeft(stage);
      });

      for (const status of [404, 486, 503, 603]) {
        it(`closes after ${status}`, async () => {
          const call = createDialog(stage);
          await stage.play(
            call.asks('INVITE', { body: call.offer([4000]) }),
            call.answers('183 INVITE', { body: call.answer([6000]) }),
            stage.passes('client:4000', 'server:6000'),
            call.answers(`${status} INVITE`),
            call.asks('ACK', { to: 'b' }),
          );
          await nothingLeft(stage);
          await stage.play(stage.blocked('client:4000', 'server:6000'));
        });
      }

      it('stays open on 401 to a BYE, and closes on 481 (A22)', async () => {
        const call = createDialog(stage);
        await stage.play(
          ...call.establish(4000, 6000),
          call.asks('BYE', { to: 'b', cseq: 2 }),
          call.answers('401 BYE', { cseq: 2 }),
          stage.passes('client:4000', 'server:6000'),
          stage.passes('server:6000', 'client:4000'),
          call.asks('BYE', { to: 'b', cseq: 3 }),
          call.answers('481 BYE', { cseq: 3 }),
        );
        await nothingLeft(stage);
      });

      it('closes when nobody answers a BYE', async () => {
        const call = createDialog(stage);
        await stage.play(
          ...call.establish(4000, 6000),
          stage.passes('client:4000', 'server:6000'),
          call.asks('BYE', { to: 'b', cseq: 2 }),
          stage.passes('client:4000', 'server:6000'),
        );
        await eventually(
          () => stage.kernel().elements,
          (elements) => elements.length === 0,
        );
        await nothingLeft(stage);
      });

      it('gives every fork its pinholes until one of them has won', async () => {
        const call = createDialog(stage);
        const gateway = sdp(stage.gateway.address, [6100]);
        await stage.play(
          call.asks('INVITE', { body: call.offer([4000]) }),
          call.answers('183 INVITE', { to: 'b1', body: sdp(stage.relay, [6000]) }),
          stage.passes('client:4000', 'relay:6000'),
          stage.passes('relay:6000', 'client:4000'),
          call.answers('183 INVITE', { to: 'b2', body: gateway }),
          stage.passes('client:4000', 'gateway:6100'),
          stage.passes('client:4000', 'relay:6000'),
          call.answers('200 INVITE', { to: 'b2', body: gateway }),
          stage.passes('client:4000', 'gateway:6100'),
          call.asks('ACK', { to: 'b2' }),
        );
        await stage.play(stage.passes('gateway:6100', 'client:4000'));
        await eventually(
          () => named(stage),
          (elements) =>
            elements.join() ===
            [
              ...both('client', 'gateway', 6100),
              ...both('gateway', 'client', 4000),
              ...both('server', 'client', 4000),
            ].join(),
        );
        await eventually(
          () => mediaFlows(topology).filter((flow) => /port=6000\b/.test(flow)),
          (flows) => flows.length === 0,
        );
        await stage.play(
          stage.blocked('client:4000', 'relay:6000'),
          stage.blocked('relay:6000', 'client:4000'),
          stage.passes('client:4000', 'gateway:6100'),
          call.asks('BYE', { to: 'b2', cseq: 2 }),
          call.answers('200 BYE', { to: 'b2', cseq: 2 }),
        );
        await nothingLeft(stage);
      });

      it('opens one port for a fax (T.38) in place of the audio', async () => {
        const image = (port: number) => [{ media: 'image', port, proto: 'udptl' }];
        const call = createDialog(stage);
        await stage.play(
          ...call.establish(4000, 6000),
          call.calleeAsks('INVITE', { cseq: 7, body: call.answer(image(6200)) }),
          stage.passes('client:4000', 'server:6200'),
          call.callerAnswers('200 INVITE', { cseq: 7, body: call.offer(image(4200)) }),
          stage.passes('server:6200', 'client:4200'),
          stage.passes('client:4200', 'server:6200'),
          call.calleeAsks('ACK', { cseq: 7 }),
        );
        await eventually(
          () => named(stage),
          (elements) => elements.join() === 'udp client > server 6200,udp server > client 4200',
        );
        await stage.play(stage.blocked('server:6200', 'client:4201'), ...call.hangUp());
        await nothingLeft(stage);
      });

      it('knows two calls with the same ports apart from their ends', async () => {
        const first = createDialog(stage);
        const second = createDialog(stage);
        await stage.play(
          ...first.establish(4000, 6000),
          ...second.establish(4000, 6000),
          ...first.hangUp(),
          stage.passes('client:4000', 'server:6000'),
          stage.passes('server:6000', 'client:4000'),
          ...second.hangUp(),
        );
        await nothingLeft(stage);
      });
    });
  }

  for (const [place, split] of Object.entries(splits)) {
    for (const family of [4, 6] as const) {
      it(`reads messages that TCP cut ${place}, over IPv${family}`, async () => {
        const stage = await createStage(topology, behind({ family, split }));
        const call = createDialog(stage);
        await stage.play(
          call.asks('INVITE', { body: call.offer([4000]) }),
          stage.passes('server:6000', 'client:4000'),
          call.answers('200 INVITE', { body: call.answer([6000]) }),
          stage.passes('client:4000', 'server:6000'),
          call.asks('ACK', { to: 'b' }),
          ...call.hangUp(),
        );
        await nothingLeft(stage);
      });
    }
  }
}
