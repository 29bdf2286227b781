import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Whereabouts } from '../../src/daemon/peers/primary.ts';
import { createRedisStore } from '../../src/daemon/peers/redis.ts';
import type { Store } from '../../src/daemon/peers/store.ts';
import { type Server, startServer, until, where, withoutStore } from './redis-server.ts';

const PREFIX = '{pinholed:test}:';
const self = { machine: '0000000a', name: 'fw1', records: 1, boot: null, start: 's' };

const stores: Store[] = [];

function connect(at: Whereabouts): Store {
  const store = createRedisStore({ ...at, prefix: PREFIX });
  stores.push(store);
  return store;
}

const version = (number: number) => ({
  name: '00112233aabbccdd',
  stamp: { generation: 0, phase: 0, version: number, machine: '0000000a' } as const,
  text: 'text',
  wait: '',
});

/** It is written, read, and told of. */
async function works(store: Store, number = 1): Promise<void> {
  const from = await store.lastNews();
  await store.write([version(number)]);
  assert.equal((await store.read(['00112233aabbccdd']))[0]?.stamp.version, number);
  assert.equal((await store.follow(from)).length, 1);
  assert.deepEqual(await store.greet(self), [self]);
}

describe('the primary of a store', { skip: withoutStore }, () => {
  const servers: Server[] = [];
  const start = async (...options: Parameters<typeof startServer>) => {
    const server = await startServer(...options);
    servers.push(server);
    return server;
  };
  after(async () => {
    for (const store of stores) store.close();
    for (const server of servers) await server.close();
  });

  it('is found among the servers that are named; a replica is refused by name', async () => {
    const primary = await start();
    const replica = await start({ more: ['--replicaof', '127.0.0.1', String(primary.port)] });
    await until(() => replica.command('INFO', 'replication'), /master_link_status:up/);
    await assert.rejects(
      connect(where(replica.port)).connect(),
      new RegExp(
        `this is a replica of 127\\.0\\.0\\.1:${primary.port}: peers-store\\.url is to name the primary`,
      ),
    );
    const store = connect(where(replica.port, primary.port));
    assert.deepEqual(await store.connect(), []);
    await works(store);
    await primary.stop();
    await assert.rejects(store.epoch());
    await assert.rejects(store.connect(), /this is a replica.*; .*ECONNREFUSED/);
    await replica.command('REPLICAOF', 'NO', 'ONE');
    await store.connect();
    await works(store, 3);
  });

  it('that becomes a replica while it is in use takes no writes, and is looked for anew', async () => {
    const [first, second] = [await start(), await start()];
    const store = connect(where(first.port, second.port));
    await store.connect();
    await works(store);
    await first.command('REPLICAOF', '127.0.0.1', String(second.port));
    await assert.rejects(store.write([version(3)]), /READONLY/);
    await store.connect();
    await works(store);
  });

  it('of a cluster is the node that has the slot, and no other is asked', async () => {
    const options = { more: ['--cluster-enabled', 'yes'] };
    const nodes = [await start(options), await start(options)] as const;
    await assert.rejects(connect(where(nodes[0].port)).connect(), /CLUSTERDOWN/);
    const slot = Number(await nodes[0].command('CLUSTER', 'KEYSLOT', PREFIX));
    await nodes[0].command('CLUSTER', 'MEET', '127.0.0.1', String(nodes[1].port));
    const ranges = (from: number, to: number) => (from <= to ? [String(from), String(to)] : []);
    await nodes[1].command('CLUSTER', 'ADDSLOTSRANGE', String(slot), String(slot));
    const rest = [...ranges(0, slot - 1), ...ranges(slot + 1, 16_383)];
    await nodes[0].command('CLUSTER', 'ADDSLOTSRANGE', ...rest);
    for (const node of nodes) {
      await until(() => node.command('CLUSTER', 'INFO'), /cluster_state:ok[\s\S]*cluster_known_nodes:2/);
    }
    const store = connect(where(nodes[0].port));
    await store.connect();
    await works(store);
    assert.equal(await nodes[1].command('EXISTS', `${PREFIX}epoch`), '0', 'asked of its names alone');
    assert.equal(await nodes[1].command('EXISTS', `${PREFIX}news`), '1');
  });

  it('says what is wrong with how it is set up', async () => {
    const server = await start({ more: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru'] });
    assert.match((await connect(where(server.port)).connect()).join(), /allkeys-lru.*noeviction/);
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    const store = connect(where(server.port));
    assert.deepEqual(await store.connect(), []);
    await server.command('CONFIG', 'SET', 'maxmemory', '1');
    await assert.rejects(store.write([version(1)]), /OOM/);
  });

  it('may keep what it is to itself', async () => {
    const server = await start();
    await server.command('ACL', 'SETUSER', 'default', '-info');
    const store = connect(where(server.port));
    assert.deepEqual(await store.connect(), []);
    await works(store);
  });
});

describe('a primary that Sentinels know', { skip: withoutStore }, () => {
  let primary: Server;
  let replica: Server;
  const sentinels: Server[] = [];
  let at: Whereabouts;

  before(async () => {
    primary = await startServer({ password: 'secret' });
    const replicaOf = ['--replicaof', '127.0.0.1', String(primary.port), '--masterauth', 'secret'];
    replica = await startServer({ password: 'secret', more: replicaOf });
    await until(() => replica.command('INFO', 'replication'), /master_link_status:up/);
    for (let count = 0; count < 2; count++) {
      const sentinel = [
        `monitor office 127.0.0.1 ${primary.port} 1`,
        'auth-pass office secret',
        'down-after-milliseconds office 500',
        'failover-timeout office 3000',
      ];
      sentinels.push(await startServer({ sentinel }));
    }
    at = { ...where(...sentinels.map(({ port }) => port)), sentinel: 'office', password: 'secret' };
  });
  after(async () => {
    for (const store of stores) store.close();
    for (const server of [...sentinels, primary, replica]) await server?.close();
  });

  it('is asked of any of them, and asked anew after a failover', async () => {
    const store = connect(at);
    await store.connect();
    await works(store);
    const known = () => sentinels[1]!.command('SENTINEL', 'replicas', 'office');
    await until(known, new RegExp(`${replica.port}.* master-link-status ok`));
    await sentinels[0]!.stop();
    await store.connect();
    await sentinels[0]!.start();
    await primary.stop();
    await assert.rejects(store.epoch());
    await until(() => store.connect().then(String, String), /^$/);
    await works(store, 3);
    assert.match(await replica.command('INFO', 'replication'), /role:master/);
  });

  it('is refused by name where a Sentinel is none, is taken for the store, or does not know it', async () => {
    const { port } = sentinels[1]!;
    await assert.rejects(
      connect(where(port)).connect(),
      /this is a Sentinel: peers-store\.sentinel is to name/,
    );
    await assert.rejects(
      connect({ ...where(replica.port), sentinel: 'office', password: 'secret' }).connect(),
      /this is no Sentinel/,
    );
    await assert.rejects(
      connect({ ...where(port), sentinel: 'other' }).connect(),
      /this Sentinel knows no primary of the name other/,
    );
  });
});
