/** Phones on both sides: what they do to each other by themselves, in the order and at the time they choose. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState, mediaFlows } from '../../lab/kernel.ts';
import { addressOf, createTopology, type HostName, type Topology } from '../../lab/topology.ts';
import {
  announcedBy,
  answers,
  elementsBetween,
  type Phone,
  type PhoneOptions,
  startPhone,
} from './baresip.ts';
import { assertWhole, type Capture, DRAINING, exchange, startCapture, talk, without } from './programs.ts';

const client = addressOf('client');
const server = addressOf('server');

describe('baresip through the firewall', { skip: without('baresip', 'tcpdump') }, () => {
  let topology: Topology;
  let daemon: Daemon;
  const phones: Phone[] = [];
  let captures: readonly [client: Capture, server: Capture];

  before(async () => {
    topology = await createTopology();
    daemon = await startDaemon(topology, { changes: DRAINING });
  });

  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  afterEach(async () => {
    await Promise.all(phones.splice(0).map((phone) => phone.stop('SIGKILL')));
  });

  async function phone(host: HostName, options?: PhoneOptions): Promise<Phone> {
    const started = await startPhone(topology, host, options);
    phones.push(started);
    return started;
  }

  const exchanges = () => [exchange(client, captures[0].read(), captures[1].read())];

  /** Waits until exactly those elements are there that the last descriptions of both ask for. */
  async function opensOnly(a: string, b: string): Promise<void> {
    await eventually(
      () => ({ is: kernelState(topology).elements, wanted: elementsBetween(captures[0].read(), a, b) }),
      ({ is, wanted }) => is.length === wanted.length && is.every((element, n) => element === wanted[n]),
    );
  }

  async function nothingLeft(): Promise<void> {
    await eventually(
      () => [...kernelState(topology).elements, ...mediaFlows(topology)],
      (left) => left.length === 0,
    );
  }

  const accounts: readonly (readonly [string, PhoneOptions, number])[] = [
    ['audio', {}, 1],
    ['audio and video', { video: true }, 2],
    ['rtcp-mux', { mux: true }, 1],
    ['ICE', { ice: true }, 1],
    ['ICE, video and rtcp-mux', { ice: true, video: true, mux: true }, 2],
  ];
  for (const [name, options, streams] of accounts) {
    it(`${name}: a call with hold and resume`, async () => {
      captures = await Promise.all([startCapture(topology, 'client'), startCapture(topology, 'server')]);
      const [alice, bob] = await Promise.all([phone('client', options), phone('server', options)]);
      alice.type(`/dial ${bob.uri}\n`);
      await Promise.all([alice.said(/Call established/), bob.said(/Call established/)]);
      await talk(exchanges, 60);
      assert.equal(announcedBy(captures[0].read(), client).length, streams);
      await opensOnly(client, server);
      for (const command of ['/hold', '/resume']) {
        const before = answers(captures[0].read());
        alice.type(`${command}\n`);
        await eventually(
          () => answers(captures[0].read()),
          (now) => now > before,
        );
      }
      await talk(exchanges, 60);
      await opensOnly(client, server);
      alice.type('/hangup\n');
      await alice.said(/terminated \(duration/);
      await nothingLeft();
      const [atClient, atServer] = await Promise.all(captures.map((capture) => capture.stop()));
      assertWhole(exchange(client, atClient!, atServer!), streams);
    });
  }

  it('a transfer: the call of the two that are left opens, the first one closes', async () => {
    captures = await Promise.all([startCapture(topology, 'client'), startCapture(topology, 'server')]);
    const atCarol = await startCapture(topology, 'gateway');
    const [alice, bob, carol] = await Promise.all([phone('client'), phone('server'), phone('gateway')]);
    bob.type(`/dial ${alice.uri}\n`);
    await Promise.all([alice.said(/Call established/), bob.said(/Call established/)]);
    await talk(exchanges, 40);
    bob.type(`/transfer ${carol.uri}\n`);
    await carol.said(/Call established/);
    await eventually(
      () => kernelState(topology).elements,
      (elements) => elements.length > 0 && elements.every((element) => element.includes(carol.address)),
    );
    const from = alice.lines.length;
    await alice.said(/audio=[1-9]/, from);
    await opensOnly(client, carol.address);
    alice.type('/hangup\n');
    await carol.said(/terminated \(duration/);
    await nothingLeft();
    const [atClient] = await Promise.all(captures.map((capture) => capture.stop()));
    const withCarol = atClient!.filter(({ source, destination }) =>
      [source, destination].includes(carol.address),
    );
    assertWhole(exchange(client, withCarol, await atCarol.stop()), 1);
  });
});
