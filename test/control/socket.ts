import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createConnection, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listenUnix } from '../../src/control/listen.ts';
import { type Handler, type ServerOptions, startControlServer } from '../../src/control/server.ts';

/** A directory of our own for one test. */
export function scratch(): { readonly path: string; readonly remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'pinholed-control-'));
  chmodSync(path, 0o755);
  return { path, remove: () => rmSync(path, { recursive: true }) };
}

export interface TestServer {
  readonly path: string;
  readonly server: Server;
  readonly complaints: string[];
  readonly clients: () => number;
  stop(): void;
}

/** A control server with these handlers on a socket of its own. */
export async function serve(
  handlers: Readonly<Record<string, Handler>>,
  more: Partial<ServerOptions> = {},
  { mode = 0o600, gid = null as number | null } = {},
): Promise<TestServer> {
  const directory = scratch();
  const path = join(directory.path, 'sock');
  const server = await listenUnix({ path, mode, gid });
  const complaints: string[] = [];
  const control = startControlServer({
    server,
    peerOf: () => null,
    mayConnect: () => true,
    handlerOf: (name) => (Object.hasOwn(handlers, name) ? handlers[name] : undefined),
    complain: (text) => complaints.push(text),
    ...more,
  });
  return {
    path,
    server,
    complaints,
    clients: () => control.clients,
    stop() {
      control.close();
      directory.remove();
    },
  };
}

/** A client that says what it likes and hands over what it hears, line by line. */
export interface RawClient {
  readonly socket: Socket;
  say(text: string | Uint8Array): void;
  /** The next line, parsed; null when the server has closed. */
  next(): Promise<Record<string, unknown> | null>;
  /** Everything up to the end. */
  rest(): Promise<Record<string, unknown>[]>;
  end(): void;
}

export async function dial(path: string): Promise<RawClient> {
  const socket = createConnection(path);
  socket.on('error', () => {});
  await once(socket, 'connect');
  const lines: string[] = [];
  let text = '';
  let closed = false;
  let wake: () => void = () => {};
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    text += chunk;
    const parts = text.split('\n');
    text = parts.pop()!;
    lines.push(...parts);
    wake();
  });
  socket.on('close', () => {
    closed = true;
    wake();
  });

  async function next(): Promise<Record<string, unknown> | null> {
    while (lines.length === 0) {
      if (closed) return null;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return JSON.parse(lines.shift()!);
  }

  return {
    socket,
    say: (what) => void socket.write(what),
    next,
    async rest() {
      const all: Record<string, unknown>[] = [];
      for (let one = await next(); one !== null; one = await next()) all.push(one);
      return all;
    },
    end: () => void socket.end(),
  };
}

/** Waits for something that comes true in its own time; the test's own time limit ends it. */
export async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 10));
}
