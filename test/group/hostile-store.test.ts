import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { createRedisStore } from '../../src/daemon/peers/redis.ts';
import { where } from './redis-server.ts';

const servers: { readonly server: Server; readonly sockets: Socket[] }[] = [];
afterEach(() => {
  for (const { server, sockets } of servers.splice(0)) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

/** What listens where a store should be. `answer`: what it says to each piece that it is sent. */
async function impostor(answer: (socket: Socket, heard: string) => void): Promise<number> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (heard) => answer(socket, heard.toString('latin1')));
  });
  servers.push({ server, sockets });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

const storeAt = (port: number) => createRedisStore({ ...where(port), prefix: '{pinholed:test}:' });

/** Answers as a store does until it is asked for `word`, and then with this. */
function until(word: string, last: string) {
  return (socket: Socket, heard: string) => {
    const commands = heard.split('\r\n').filter((line) => /^[A-Z]+$/.test(line));
    for (const command of commands) {
      if (command === word) socket.write(last);
      else if (['CLIENT', 'SET', 'SADD'].includes(command)) socket.write('+OK\r\n');
      else if (command === 'INFO') socket.write('$0\r\n\r\n');
    }
  };
}

describe('what listens where a store should be', () => {
  const words: readonly (readonly [string, string])[] = [
    ['an HTTP server', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'],
    ['a mail server', '220 mail.example.com ESMTP\r\n'],
    ['bytes of no meaning', randomBytes(4096).toString('latin1')],
    ['a length that cannot be', '$99999999999999999999\r\n'],
    ['lists within lists', '*1\r\n'.repeat(100_000)],
  ];
  for (const [name, text] of words) {
    it(`is refused where it is ${name}`, async () => {
      const store = storeAt(await impostor((socket) => socket.write(text, 'latin1')));
      await assert.rejects(store.connect());
      await assert.rejects(store.epoch());
      store.close();
    });
  }

  it('is given up where it accepts and never answers', async () => {
    const store = storeAt(await impostor(() => {}));
    await assert.rejects(store.connect(), /no answer within 3000 ms/);
    store.close();
  });

  it('is given up where it hangs up', async () => {
    const store = storeAt(await impostor((socket) => socket.destroy()));
    await assert.rejects(store.connect());
    store.close();
  });

  const answers: readonly (readonly [string, string])[] = [
    ['a number', ':7\r\n'],
    ['nothing', '*-1\r\n'],
    ['an error', '-ERR what\r\n'],
    ['lists that are no news', '*2\r\n*0\r\n*1\r\n*2\r\n$-1\r\n:5\r\n'],
    ['news without words', '*1\r\n*2\r\n$4\r\nnews\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*-1\r\n'],
  ];
  for (const [name, text] of answers) {
    it(`tells nothing where it answers ${name} to who asks for news`, async () => {
      const store = storeAt(await impostor(until('XREAD', text)));
      await store.connect();
      const news = await store.follow('0-0').catch(() => []);
      assert.deepEqual(news, []);
      store.close();
    });

    it(`tells nothing where it answers ${name} to who asks for calls`, async () => {
      const store = storeAt(await impostor(until('HMGET', text)));
      await store.connect();
      store.read(['00112233aabbccdd']).catch(() => {});
      const other = storeAt(await impostor(until('SSCAN', text)));
      await other.connect();
      const found: unknown[] = [];
      try {
        for await (const some of other.versions()) {
          found.push(...some);
          break;
        }
      } catch {}
      assert.deepEqual(found, []);
      store.close();
      other.close();
    });
  }
});
