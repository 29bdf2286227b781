/**
 * One side of a TCP connection, played from a script, for what sipp cannot do: cut messages where a test wants them cut,
 * put several into one segment, and place bytes at the start of a segment.
 *
 *   expect TEXT      waits until TEXT has come in, after what the last `expect` found
 *   pause MS         waits
 *   order HOST ...   an order to that host's FIFO (see host.ts)
 *   send             the lines up to a line `.` go out, each ended by CRLF
 *   close            ends the connection
 *
 * In what is sent: `[len]` is the length of the body, what follows the first empty line; `[fill N]` is as many `x` as bring
 * the next byte to offset N; a line `+` ends one message and starts the next in the same segment. `¦` ends a segment, and at
 * the end of a line it does so between CR and LF. Lines that start with `#` outside `send` are comments.
 *
 * Usage: stream.ts listen|connect LOCAL REMOTE SCRIPT
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { type Endpoint, parseEndpoint } from './endpoint.ts';

const CUT = '¦';
const BETWEEN_SEGMENTS_MS = 20;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

function render(lines: readonly string[]): string {
  const template = lines
    .map((line) => (line.endsWith(CUT) ? `${line.slice(0, -1)}\r${CUT}\n` : `${line}\r\n`))
    .join('');
  let length = 0;
  for (let attempt = 0; attempt < 4; attempt++) {
    const numbered = template.replace('[len]', String(length));
    const text = numbered.replace(/\[fill (\d+)\]/, (_mark, to: string, at: number) =>
      'x'.repeat(Number(to) - numbered.slice(0, at).replaceAll(CUT, '').length),
    );
    const sent = text.replaceAll(CUT, '');
    const measured = sent.length - sent.indexOf('\r\n\r\n') - 4;
    if (measured === length) return text;
    length = measured;
  }
  throw new Error(`no length fits: ${lines[0]}`);
}

/** The segments of one `send`, cut and joined as its marks say. */
function segments(lines: readonly string[]): Buffer[] {
  const messages: string[][] = [[]];
  for (const line of lines) {
    if (line === '+') messages.push([]);
    else messages.at(-1)?.push(line);
  }
  return messages
    .map(render)
    .join('')
    .split(CUT)
    .map((part) => Buffer.from(part, 'latin1'));
}

async function play(socket: Socket, script: readonly string[]): Promise<void> {
  socket.setNoDelay(true);
  let received = '';
  let closed = false;
  socket.on('data', (bytes) => {
    received += bytes.toString('latin1');
  });
  socket.on('close', () => {
    closed = true;
  });
  for (let at = 0; at < script.length; at++) {
    const line = script[at] ?? '';
    const [verb = '', rest = ''] = line.split(/ (.*)/s);
    if (line === '' || line.startsWith('#')) continue;
    if (verb === 'pause') await pause(Number(rest));
    else if (verb === 'order') appendFileSync(rest.split(' ')[0] ?? '', `${rest.replace(/^\S+ /, '')}\n`);
    else if (verb === 'close') socket.end();
    else if (verb === 'expect') {
      while (!received.includes(rest)) {
        if (closed) throw new Error(`closed before ${rest}`);
        await pause(2);
      }
      received = received.slice(received.indexOf(rest) + rest.length);
    } else if (verb === 'send') {
      const end = script.indexOf('.', at);
      for (const [n, segment] of segments(script.slice(at + 1, end)).entries()) {
        if (n > 0) await pause(BETWEEN_SEGMENTS_MS);
        socket.write(segment);
      }
      at = end;
    } else throw new Error(`line ${at + 1}: ${line}: no such step`);
  }
  while (!closed) await pause(2);
}

function connected(listen: boolean, local: Endpoint, remote: Endpoint): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (listen) {
      const server = createServer((socket) => {
        server.close();
        resolve(socket);
      });
      server.once('error', reject).listen(local.port, local.address);
    } else {
      const socket = createConnection({
        host: remote.address,
        port: remote.port,
        localAddress: local.address,
        localPort: local.port,
      });
      socket.once('error', reject).once('connect', () => resolve(socket));
    }
  });
}

const [role, local, remote, file] = process.argv.slice(2);
if (local === undefined || remote === undefined || file === undefined) {
  throw new Error('usage: stream.ts listen|connect LOCAL REMOTE SCRIPT');
}
const script = readFileSync(file, 'utf8').split('\n');
await play(await connected(role === 'listen', parseEndpoint(local), parseEndpoint(remote)), script);
