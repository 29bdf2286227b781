import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import fc from 'fast-check';
import { readLines } from '../../src/control/line-reader.ts';
import { LONGEST_REQUEST, PROTOCOL, RequestError } from '../../src/control/protocol.ts';
import type { Handler } from '../../src/control/server.ts';
import { VERSION } from '../../src/version.ts';
import { dial, serve, type TestServer, until } from './socket.ts';

let running: TestServer | null = null;
afterEach(() => {
  running?.stop();
  running = null;
});

async function start(...args: Parameters<typeof serve>): Promise<TestServer> {
  running = await serve(...args);
  return running;
}

const echo: Handler = async (request) => ({ echo: request });
const count: Handler = async function* () {
  for (let n = 1; n <= 3; n++) yield { n };
};

describe('control protocol', () => {
  it('greets with the version of the daemon and of the protocol', async () => {
    const { path } = await start({});
    const client = await dial(path);
    assert.deepEqual(await client.next(), { pinholed: VERSION, protocol: PROTOCOL });
    client.end();
  });

  it('answers each request with a line, in their order', async () => {
    const { path } = await start({ status: echo, calls: count });
    const client = await dial(path);
    client.say('{"request":"status","a":1}\n{"request":"calls"}\n\n{"request":"status","protocol":1}\n');
    client.end();
    assert.deepEqual(await client.rest(), [
      { pinholed: VERSION, protocol: PROTOCOL },
      { ok: true, result: { echo: { request: 'status', a: 1 } } },
      { ok: true, result: { n: 1 }, more: true },
      { ok: true, result: { n: 2 }, more: true },
      { ok: true, result: { n: 3 }, more: true },
      { ok: true },
      { ok: true, result: { echo: { request: 'status', protocol: 1 } } },
    ]);
  });

  it('takes a last line without its end', async () => {
    const { path } = await start({ status: echo });
    const client = await dial(path);
    client.say('{"request":"status"}');
    client.end();
    assert.deepEqual((await client.rest()).at(-1), { ok: true, result: { echo: { request: 'status' } } });
  });

  const WRONG: readonly (readonly [line: string, code: string, message: RegExp])[] = [
    ['hello', 'bad-request', /one JSON object/],
    ['[]', 'bad-request', /JSON object/],
    ['null', 'bad-request', /JSON object/],
    ['{"request":7}', 'bad-request', /"request"/],
    ['{"request":"nothing"}', 'unknown-request', /no request "nothing"/],
    ['{"request":"__proto__"}', 'unknown-request', /__proto__/],
    ['{"request":"constructor"}', 'unknown-request', /constructor/],
    ['{"request":"status","protocol":2}', 'protocol', /speaks protocol 1, not 2/],
    ['{"request":"flush"}', 'unknown-call', /^so there$/],
  ];
  for (const [line, code, message] of WRONG) {
    it(`refuses ${line} as ${code} and goes on`, async () => {
      const refuse: Handler = () => Promise.reject(new RequestError('unknown-call', 'so there'));
      const { path, complaints } = await start({ status: echo, flush: refuse });
      const client = await dial(path);
      client.say(`${line}\n{"request":"status"}\n`);
      client.end();
      const [, error, answer] = await client.rest();
      const { code: found, message: text } = error!['error'] as { code: string; message: string };
      assert.equal(found, code);
      assert.match(text, message);
      assert.equal(answer!['ok'], true);
      assert.deepEqual(complaints, []);
    });
  }

  it('says of a mistake of its own only that there was one, and the log the rest', async () => {
    const fail: Handler = () => Promise.reject(new Error('secret'));
    const { path, complaints } = await start({ status: fail });
    const client = await dial(path);
    client.say('{"request":"status"}\n');
    client.end();
    const error = (await client.rest()).at(-1)!;
    assert.deepEqual(error['error'], {
      code: 'internal',
      message: 'the daemon made a mistake; its log has more',
    });
    assert.match(complaints.join(), /secret/);
  });

  it('ends parts with an error where one comes in the middle', async () => {
    const broken: Handler = async function* () {
      yield 1;
      throw new RequestError('unavailable', 'gone');
    };
    const { path } = await start({ calls: broken });
    const client = await dial(path);
    client.say('{"request":"calls"}\n');
    client.end();
    assert.deepEqual((await client.rest()).slice(1), [
      { ok: true, result: 1, more: true },
      { ok: false, error: { code: 'unavailable', message: 'gone' } },
    ]);
  });
});

describe('control protocol: hostile clients', () => {
  it('answers every line of anything with exactly one error, and survives', async () => {
    const { path, clients } = await start({ status: echo });
    const line = fc
      .uint8Array({ maxLength: 200 })
      .filter((bytes) => !bytes.includes(0x0a) && Buffer.from(bytes).toString('utf8').trim() !== '');
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 20 }), async (lines) => {
        const client = await dial(path);
        for (const one of lines) client.say(Buffer.concat([one, Buffer.of(0x0a)]));
        client.end();
        const [, ...answers] = await client.rest();
        assert.equal(answers.length, lines.length);
        assert.ok(answers.every((answer) => answer['ok'] === false || 'result' in answer));
      }),
      { numRuns: 50 },
    );
    await until(() => clients() === 0);
  });

  it('reads the same lines however the bytes come in', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 60 }).map((one) => one.replaceAll('\n', ''));
    await fc.assert(
      fc.asyncProperty(fc.array(text), fc.array(fc.integer({ min: 1, max: 50 })), async (lines, cuts) => {
        const bytes = Buffer.from(lines.map((one) => `${one}\n`).join(''));
        const found: string[] = [];
        for await (const one of readLines(pieces(bytes, cuts), LONGEST_REQUEST)) found.push(one);
        assert.deepEqual(
          found,
          lines.map((one) => Buffer.from(one).toString()),
        );
      }),
    );
  });

  async function* pieces(bytes: Buffer, cuts: readonly number[]): AsyncGenerator<Buffer> {
    let at = 0;
    for (const cut of cuts) {
      if (at >= bytes.length) return;
      yield bytes.subarray(at, at + cut);
      at += cut;
    }
    if (at < bytes.length) yield bytes.subarray(at);
  }

  for (const [name, ending] of [
    ['with an end', '\n'],
    ['without one', ''],
  ]) {
    it(`sends away who writes a line that is too long, ${name}`, async () => {
      const { path, clients } = await start({ status: echo });
      const client = await dial(path);
      client.say(`${'x'.repeat(LONGEST_REQUEST + 1)}${ending}`);
      const [, error] = await client.rest();
      assert.equal((error!['error'] as { code: string }).code, 'bad-request');
      await until(() => clients() === 0);
    });
  }

  it('takes a line of exactly the longest length', async () => {
    const { path } = await start({ status: echo });
    const client = await dial(path);
    const line = `{"request":"status","x":"${'x'.repeat(LONGEST_REQUEST - 27)}"}`;
    assert.equal(line.length, LONGEST_REQUEST);
    client.say(`${line}\n`);
    client.end();
    assert.equal((await client.rest()).at(-1)!['ok'], true);
  });

  it('produces nothing that the client does not read, and sends it away in the end', async () => {
    let produced = 0;
    let ended = false;
    const flood: Handler = async function* () {
      try {
        for (;;) {
          produced++;
          yield 'x'.repeat(64 * 1024);
        }
      } finally {
        ended = true;
      }
    };
    const { path, clients } = await start({ calls: flood }, { readWithin: 200 });
    const client = await dial(path);
    await client.next();
    client.socket.pause();
    client.say('{"request":"calls"}\n');
    await until(() => clients() === 0 && ended);
    // What fits into the buffers of two sockets, and not one part more than is being written.
    assert.ok(produced < 32, `${produced} parts of 64 KiB`);
    client.socket.destroy();
  });

  it('does not work on the next request while the client does not read', async () => {
    let worked = 0;
    const large: Handler = async () => {
      worked++;
      return 'x'.repeat(1024 * 1024);
    };
    const { path } = await start({ status: large });
    const client = await dial(path);
    await client.next();
    client.socket.pause();
    client.say('{"request":"status"}\n'.repeat(100));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(worked <= 2, `${worked} requests worked on`);
    client.socket.destroy();
  });

  it('tells one client too many that it is busy', async () => {
    const { path, clients } = await start({ status: echo }, { maxClients: 3 });
    const admitted = await Promise.all(Array.from({ length: 3 }, () => dial(path)));
    for (const client of admitted) await client.next();
    const refused = await dial(path);
    const [greeting, error] = await refused.rest();
    assert.equal(greeting!['protocol'], PROTOCOL);
    assert.equal((error!['error'] as { code: string }).code, 'busy');
    admitted[0]!.end();
    await admitted[0]!.rest();
    await until(() => clients() === 2);
    const next = await dial(path);
    next.say('{"request":"status"}\n');
    next.end();
    assert.equal((await next.rest()).at(-1)!['ok'], true);
    for (const client of admitted) client.socket.destroy();
  });

  it('has room for root beside as many others as there may be', async () => {
    let uid = 1001;
    const { path } = await start(
      { status: echo },
      { maxClients: 2, peerOf: () => ({ uid, gid: 1001 }), mayConnect: () => true },
    );
    const asking = await Promise.all([dial(path), dial(path)]);
    for (const client of asking) {
      client.say('{"request":"status"}\n');
      for (let lines = 0; lines < 2; lines++) await client.next();
    }
    const answer = async () => {
      const client = await dial(path);
      client.say('{"request":"status"}\n');
      client.end();
      return (await client.rest()).at(-1)!['ok'];
    };
    assert.equal(await answer(), false);
    uid = 0;
    assert.equal(await answer(), true);
    for (const client of asking) client.socket.destroy();
  });

  it('lets those who ask nothing keep nobody away', async () => {
    const { path, clients } = await start({ status: echo }, { maxClients: 3, silentAfter: 0 });
    const asking = await dial(path);
    asking.say('{"request":"status"}\n');
    for (let lines = 0; lines < 2; lines++) await asking.next();
    const silent = [];
    for (let n = 0; n < 40; n++) silent.push(await dial(path));
    const late = await dial(path);
    late.say('{"request":"status"}\n');
    late.end();
    assert.equal((await late.rest()).at(-1)!['ok'], true);
    asking.say('{"request":"status"}\n');
    asking.end();
    assert.equal((await asking.rest()).at(-1)!['ok'], true, 'who has asked before is still there');
    assert.ok(clients() <= 3);
    for (const client of silent) client.socket.destroy();
  });

  it('sends away who asks nothing', async () => {
    const { path, clients } = await start({}, { idleAfter: 100 });
    const client = await dial(path);
    assert.equal((await client.rest()).length, 1);
    await until(() => clients() === 0);
  });

  it('stops what goes on when its client goes', async () => {
    let ended = 0;
    const forever: Handler = async function* () {
      try {
        for (;;) {
          yield 'more';
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      } finally {
        ended++;
      }
    };
    const { path } = await start({ top: forever });
    const client = await dial(path);
    client.say('{"request":"top"}\n');
    for (let line = 0; line < 4; line++) await client.next();
    client.socket.destroy();
    await until(() => ended > 0);
    assert.equal(ended, 1);
  });
});
