import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { createRedisStore } from '../../src/daemon/peers/redis.ts';
import type { Stamp } from '../../src/daemon/peers/stamp.ts';
import type { News, Store, Version } from '../../src/daemon/peers/store.ts';
import { createShelf } from './memory-store.ts';
import { NO_TLS, type Server, startServer, where, withoutStore } from './redis-server.ts';

function stamp(version: number, rest: Partial<Stamp> = {}): Stamp {
  return { generation: 0, phase: 0, version, machine: '0000000a', ...rest };
}

const one = (version: Stamp, text: string, wait = '') => ({
  name: '00112233aabbccdd',
  stamp: version,
  text,
  wait,
});

/** News after `id`, once there are some. */
async function newsAfter(store: Store, id: string): Promise<readonly News[]> {
  for (;;) {
    const news = await store.follow(id);
    if (news.length > 0) return news;
  }
}

function contract(connect: () => Store): void {
  it('keeps of each call the later version, in whatever order they come', async () => {
    const store = connect();
    await store.connect();
    const text = async () => (await store.read(['00112233aabbccdd']))[0]?.text;
    await store.write([one(stamp(2), 'two')]);
    await store.write([one(stamp(1), 'one')]);
    assert.equal(await text(), 'two');
    await store.write([one(stamp(10, { machine: '00000001' }), 'ten')]);
    assert.equal(await text(), 'ten', 'by number, not by digits');
    await store.write([one(stamp(10), 'ten of another')]);
    assert.equal(await text(), 'ten of another', 'of two that are equal the one of the greater machine');
    await store.write([one(stamp(5, { phase: 1 }), 'answered')]);
    assert.equal(await text(), 'answered', 'whatever came of it where nobody saw the answer');
    await store.write([one(stamp(3, { phase: 2 }), 'over')]);
    await store.write([one(stamp(20), 'late')]);
    assert.equal(await text(), 'over', 'an end stays');
    await store.write([one(stamp(4, { generation: 1 }), 'once more')]);
    assert.equal(await text(), 'once more');
    const [found] = await store.read(['00112233aabbccdd', 'ffffffffffffffff']);
    assert.ok(found!.age >= 0 && found!.age < 60_000);
    assert.deepEqual(found, {
      age: found!.age,
      name: '00112233aabbccdd',
      stamp: stamp(4, { generation: 1 }),
      text: 'once more',
    });
    const versions: Version[] = [];
    for await (const some of store.versions()) versions.push(...some);
    assert.deepEqual(versions, [{ name: '00112233aabbccdd', stamp: stamp(4, { generation: 1 }) }]);
    store.close();
  });

  it('tells everybody what was written, in order, from where he was', async () => {
    const [writer, reader] = [connect(), connect()];
    await Promise.all([writer.connect(), reader.connect()]);
    const from = await reader.lastNews();
    await writer.write([one(stamp(50, { generation: 2 }), 'new', '0000000a:1,0000000a:2')]);
    await writer.tell({ what: 'media', machine: '0000000a', pinholes: ['cone', 'stwo'] });
    await writer.tell({ what: 'confirmed', machine: '0000000b', wait: '0000000a:1' });
    await writer.tell({ what: 'asked', machine: '0000000b', wait: '0000000b:h1' });
    const news: News[] = [];
    while (news.length < 4) news.push(...(await newsAfter(reader, news.at(-1)?.id ?? from)));
    assert.deepEqual(
      news.map(({ id: _, ...rest }) => rest),
      [
        {
          ...{ what: 'written', name: '00112233aabbccdd', stamp: stamp(50, { generation: 2 }) },
          wait: '0000000a:1,0000000a:2',
        },
        { what: 'media', machine: '0000000a', pinholes: ['cone', 'stwo'] },
        { what: 'confirmed', machine: '0000000b', wait: '0000000a:1' },
        { what: 'asked', machine: '0000000b', wait: '0000000b:h1' },
      ],
    );
    assert.equal(await reader.lastNews(), news[3]!.id);
    assert.equal(await reader.hasNewsAfter(news[0]!.id), true);
    assert.equal(await reader.hasNewsAfter('1-1'), false);
    await writer.write([one(stamp(50, { generation: 2 }), 'the same again')]);
    assert.equal(await reader.lastNews(), news[3]!.id, 'what changes nothing is no news');
    for (const store of [writer, reader]) store.close();
  });

  it('says who is there', async () => {
    const [first, second] = [connect(), connect()];
    await Promise.all([first.connect(), second.connect()]);
    const [a, b] = [
      { machine: '0000000a', name: 'fw1', records: 1, boot: 'b', start: 's' },
      { machine: '0000000b', name: 'fw2', records: 1, boot: null, start: '' },
    ];
    await first.greet(a);
    const there = await second.greet(b);
    assert.deepEqual(
      [...there].sort((x, y) => x.name.localeCompare(y.name)),
      [a, b],
    );
    await first.leave(a);
    assert.deepEqual(await second.greet(b), [b]);
    assert.equal(await first.epoch(), await second.epoch());
    for (const store of [first, second]) store.close();
  });
}

describe('the store in memory', () => {
  const shelf = createShelf();
  contract(shelf.connect);
});

describe('a store of Valkey or Redis', { skip: withoutStore }, () => {
  let server: Server;
  before(async () => {
    server = await startServer();
  });
  after(() => server?.close());
  const connect = (prefix = '{pinholed:test}:') => createRedisStore({ ...where(server.port), prefix });
  contract(connect);

  it('has nothing to do with other groups in it', async () => {
    const other = connect('{pinholed:other}:');
    await other.connect();
    assert.equal(await other.lastNews(), '0-0');
    assert.deepEqual(await other.read(['00112233aabbccdd']), []);
    other.close();
  });

  it('is away once its server is, and back with it', async () => {
    const store = connect();
    await store.connect();
    const epoch = await store.epoch();
    await server.stop();
    await assert.rejects(store.epoch());
    await assert.rejects(store.connect(), /ECONNREFUSED/);
    await server.start();
    await store.connect();
    assert.notEqual(await store.epoch(), epoch, 'it has forgotten everything');
    store.close();
  });
});

describe('a store that not everybody may use', { skip: withoutStore }, () => {
  it('asks for its password', async () => {
    const server = await startServer({ password: 'correct horse' });
    const connect = (password: string | null) =>
      createRedisStore({
        ...{ ...where(server.port), password },
        prefix: '{pinholed:test}:',
      });
    const right = connect('correct horse');
    await right.connect();
    assert.equal(await right.lastNews(), '0-0');
    const wrong = connect('wrong');
    await assert.rejects(wrong.connect(), /WRONGPASS|invalid password/);
    const none = connect(null);
    await assert.rejects(
      none.connect().then(() => none.epoch()),
      /NOAUTH/,
    );
    for (const store of [right, wrong, none]) store.close();
    await server.close();
  });

  it('is asked for TLS where it speaks clear text, or the other way round: the reason says so', async () => {
    for (const [tls, scheme, words] of [
      [false, 'rediss', /no TLS came about; .*redis:\/\/ for clear text/],
      [true, 'redis', /if this port speaks TLS, peers-store\.url is to begin with rediss:\/\//],
    ] as const) {
      const server = await startServer({ tls });
      const urls = [`${scheme}://127.0.0.1:${server.port}`];
      const store = createRedisStore({ ...where(server.port), urls, prefix: '{pinholed:test}:' });
      try {
        await assert.rejects(store.connect(), words);
      } finally {
        store.close();
        await server.close();
      }
    }
  });

  it('shows by TLS who it is', async () => {
    const server = await startServer({ tls: true });
    const connect = (ca: string | null, url = `rediss://127.0.0.1:${server.port}`) =>
      createRedisStore({
        ...where(server.port),
        urls: [url],
        tls: { ...NO_TLS, ca },
        prefix: '{pinholed:test}:',
      });
    const known = connect(readFileSync(server.ca, 'utf8'));
    await known.connect();
    assert.equal(await known.lastNews(), '0-0');
    const unknown = connect(null);
    await assert.rejects(unknown.connect(), /certificate/);
    for (const store of [known, unknown]) store.close();
    await server.close();
  });
});
