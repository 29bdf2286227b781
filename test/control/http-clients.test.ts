import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, get } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { it } from 'node:test';
import { keepRoom } from '../../src/control/http-clients.ts';

/** More than the sockets of both ends hold. */
const LONG = Buffer.alloc(64 * 1024 * 1024);

it('clients that ask and do not read the answer keep nobody away', { timeout: 30_000 }, async (t) => {
  const server = createServer(({ url }, response) => response.end(url === '/long' ? LONG : 'short'));
  keepRoom(server, 2, 100);
  const gone: Promise<unknown>[] = [];
  server.on('connection', (socket: Socket) => {
    gone.push(
      once(
        socket.on('error', () => {}),
        'close',
      ),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const deaf: Socket[] = [];
  t.after(() => {
    for (const socket of deaf) socket.destroy();
    server.close();
    server.closeAllConnections();
  });
  for (let count = 0; count < 2; count++) {
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    deaf.push(socket);
    await once(socket, 'connect');
    socket.pause().write('GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(server, 'request');
  }
  await Promise.all(gone.slice(0, 2));
  const [response] = await once(get({ host: '127.0.0.1', port, path: '/' }), 'response');
  assert.equal(response.statusCode, 200);
  response.resume();
});
