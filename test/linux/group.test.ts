import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, afterEach, before, describe, it } from 'node:test';
import { typescript } from '../../lab/actors.ts';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually } from '../../lab/kernel.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { ADMINISTRATOR, createTopology, type Topology } from '../../lab/topology.ts';
import { type Server, startServer, withoutStore } from '../group/redis-server.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';

const TABLES = ['pinholed', 'second'] as const;

/**
 * Two daemons with a queue and a table each on one kernel, which sees to it that SIP comes to one of them: as if an
 * address had moved. Media passes by whichever table there is.
 */
describe('two daemons that share their calls by a store', { skip: withoutRoot || withoutStore }, () => {
  let topology: Topology;
  let stage: Stage;
  let store: Server;
  const daemons: Daemon[] = [];

  before(async () => {
    topology = await createTopology({
      rules: (firewall) => {
        firewall('ip', 'link', 'set', 'lo', 'up');
        firewall('nft', ADMINISTRATOR);
      },
    });
    stage = await createStage(topology, { family: 4 });
    store = await startServer({ run: topology.start });
  });

  after(async () => {
    await store?.close();
    await topology?.close();
  });

  afterEach(async () => {
    for (const daemon of daemons.splice(0)) await daemon.close();
    for (const table of TABLES) assert.equal(pinholesIn(table), 0, `nothing is left in ${table}`);
  });

  /** SIP is this one's from now on. */
  function active(queue: number): void {
    topology.firewall('iptables-legacy', '-t', 'mangle', '-F', 'FORWARD');
    for (const side of ['--dport', '--sport']) {
      const match = ['-p', 'udp', side, '5060', '-j', 'NFQUEUE', '--queue-num', String(queue)];
      topology.firewall('iptables-legacy', '-t', 'mangle', '-A', 'FORWARD', ...match);
    }
  }

  async function start(number: 0 | 1, more = ''): Promise<Daemon> {
    const changes = [
      `linux: { queue: ${number}, table: ${TABLES[number]} }`,
      `peers-store: { url: 'redis://127.0.0.1:${store.port}', name: fw${number + 1}${more} }`,
    ];
    const daemon = await startDaemon(topology, { changes: changes.join('\n') });
    daemons.push(daemon);
    await daemon.said(/peers-store: joined/g);
    return daemon;
  }

  function pinholesIn(table: string): number {
    if (!topology.firewall('nft', 'list', 'tables').includes(`inet ${table}\n`)) return 0;
    const listing = topology.firewall('nft', 'list', 'set', 'inet', table, 'pinholes');
    return (listing.match(/comment "pinholed:/g) ?? []).length;
  }

  const both = (count: number) =>
    eventually(
      () => TABLES.map(pinholesIn),
      (counts) => counts.every((one) => one === count),
    );

  const media = () => [
    stage.passes('client:4000', 'server:6000'),
    stage.passes('server:6000', 'client:4000'),
  ];

  it('go on with each other’s calls when one is gone with its table, and close what the other has opened', async () => {
    const one = await start(0);
    await start(1);
    active(0);
    const up = createDialog(stage);
    const held = createDialog(stage);
    await stage.play(...up.establish(4000, 6000), ...held.establish(4400, 6400), ...media());
    await both(4);
    one.signal('SIGKILL');
    await one.ended();
    topology.firewall('nft', 'delete', 'table', 'inet', TABLES[0]);
    topology.firewall('conntrack', '-F');
    active(1);
    await stage.play(
      ...media(),
      up.asks('INVITE', { to: 'b', cseq: 2, body: up.offer([4100]) }),
      up.answers('200 INVITE', { cseq: 2, body: up.answer([6100]) }),
      up.asks('ACK', { to: 'b', cseq: 2 }),
      stage.passes('server:6100', 'client:4100'),
      stage.passes('client:4100', 'server:6100'),
      ...up.hangUp(),
      ...held.hangUp(),
    );
    assert.equal(pinholesIn(TABLES[1]), 0);
    await stage.play(stage.blocked('server:6400', 'client:4400'));
    await one.restart();
    await one.said(/peers-store: joined/g, 2);
    assert.equal(pinholesIn(TABLES[0]), 0, 'what it had in its journal is over');
  });

  it('hold what opens back until the other has it, where the answer comes past the other', async () => {
    await start(0, ', confirm: peers, confirm-timeout: 1s');
    const two = await start(1, ', confirm: peers, confirm-timeout: 1s');
    await daemons[0]!.said(/fw2 is there|joined, with fw2/g);
    const call = createDialog(stage);
    active(0);
    await stage.play(call.asks('INVITE', { body: call.offer([4000]) }));
    assert.equal(pinholesIn(TABLES[1]), 1, 'the INVITE has arrived, so the other has its pinhole');
    active(1);
    await stage.play(call.answers('200 INVITE', { body: call.answer([6000]) }));
    assert.equal(pinholesIn(TABLES[0]), 2, 'and this one that of the answer');
    await stage.play(call.asks('ACK', { to: 'b' }), ...media(), ...call.hangUp());
    await both(0);
    assert.doesNotMatch(two.lines.join('\n'), /unexpected error/);
  });

  it('keep calls while the store is gone, and end together what one has seen end meanwhile', async () => {
    const one = await start(0);
    await start(1);
    active(0);
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000));
    await both(2);
    await store.stop();
    await one.said(/going on alone/g);
    assert.ok((await one.status()).alarms.some(({ name }) => name === 'store-away'));
    await stage.play(...media(), ...call.hangUp());
    assert.equal(pinholesIn(TABLES[1]), 2, 'nobody has told it');
    await store.start();
    await both(0);
  });

  it('may be stopped once they have handed over, and not while nobody else is there', async () => {
    const one = await start(0);
    const [program, ...words] = [...typescript('../src/main.ts'), 'handover', '--config', one.config];
    const handOver = () => spawnSync(program!, words, { encoding: 'utf8' });
    const alone = handOver();
    assert.deepEqual([alone.status, alone.stdout], [1, 'Not handed over: nobody else is there.\n']);
    await start(1);
    await one.said(/fw2 is there/g);
    active(0);
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000));
    const handed = handOver();
    assert.deepEqual([handed.status, pinholesIn(TABLES[1])], [0, 2], handed.stdout);
    await stage.play(...call.hangUp());
    await both(0);
  });
});
