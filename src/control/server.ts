import { once } from 'node:events';
import type { Server, Socket } from 'node:net';
import { isFields } from '../shape.ts';
import { VERSION } from '../version.ts';
import { LineTooLong, readLines } from './line-reader.ts';
import type { SocketPeer } from './peer.ts';
import {
  type Greeting,
  LONGEST_REQUEST,
  PROTOCOL,
  type Reply,
  type Request,
  RequestError,
  type RequestName,
} from './protocol.ts';

/**
 * Answers a request, in one or in parts that are a line each and are sent as they come. Throws RequestError. Parts are
 * not asked for any more once the client has gone, which `gone` says.
 */
export type Handler = (
  request: Request,
  peer: SocketPeer | null,
  gone: AbortSignal,
) => Promise<unknown> | AsyncIterable<unknown>;

export interface ServerOptions {
  readonly server: Server;
  /** The user at the other end; null where nobody can tell. */
  readonly peerOf: (socket: Socket) => SocketPeer | null;
  readonly mayConnect: (peer: SocketPeer) => boolean;
  /** What answers the requests of this name. May throw RequestError. */
  readonly handlerOf: (name: RequestName) => Handler | undefined;
  /** Told of mistakes of ours. */
  readonly complain: (text: string) => void;
  /** Root may have some more. */
  readonly maxClients?: number;
  /** ms without a request after which a client is sent away. */
  readonly idleAfter?: number;
  /** ms after which a client that has asked nothing yet has to make room for another. */
  readonly silentAfter?: number;
  /** ms that a client may take to read what was written. */
  readonly readWithin?: number;
}

const MAX_CLIENTS = 32;
/** Clients beside those that root may have all the same: a program of the group that stays must not keep root out. */
const FOR_ROOT = 4;
const IDLE_AFTER = 30_000;
const SILENT_AFTER = 1000;
const READ_WITHIN = 10_000;

interface ControlServer {
  readonly clients: number;
  /** Sends every client away and takes no more. The socket is removed where we may. */
  close(): void;
}

/**
 * Serves the line protocol. One request of a client is worked on at a time, and nothing is read from it meanwhile;
 * nothing is produced for it that it has not read what came before.
 */
export function startControlServer(options: ServerOptions): ControlServer {
  const { server, handlerOf, complain } = options;
  const maxClients = options.maxClients ?? MAX_CLIENTS;
  const clients = new Set<Socket>();
  /** Since when those that have asked nothing yet are there, longest first. */
  const silent = new Map<Socket, number>();
  server.on('connection', take);
  server.on('error', (error) => complain(`control socket: ${error.message}`));

  function take(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    const refusal = refusalOf(socket);
    if (refusal !== null) {
      socket.end(lineOf(greeting()) + lineOf({ ok: false, error: errorOf(refusal) }));
      socket.setTimeout(1000, () => socket.destroy());
      return;
    }
    clients.add(socket);
    silent.set(socket, performance.now());
    socket.on('close', () => forget(socket));
    void serve(socket).catch((error: Error) => {
      complain(`control socket: ${error.stack ?? error.message}`);
      socket.destroy();
    });
  }

  function refusalOf(socket: Socket): RequestError | null {
    const peer = peerIn(socket);
    if (peer !== null && !options.mayConnect(peer)) {
      return new RequestError('forbidden', `user ${peer.uid} may not use the control socket`);
    }
    const most = peer?.uid === 0 ? maxClients + FOR_ROOT : maxClients;
    if (clients.size < most || makeRoom()) return null;
    return new RequestError('busy', `there are ${maxClients} clients already`);
  }

  /** Sends away the client that has been there longest without asking anything. Whether there was one. */
  function makeRoom(): boolean {
    for (const [socket, since] of silent) {
      if (performance.now() - since < (options.silentAfter ?? SILENT_AFTER)) return false;
      forget(socket);
      socket.destroy();
      return true;
    }
    return false;
  }

  function forget(socket: Socket): void {
    clients.delete(socket);
    silent.delete(socket);
  }

  /** Who cannot be told apart from anybody is nobody. */
  function peerIn(socket: Socket): SocketPeer | null {
    try {
      return options.peerOf(socket);
    } catch {
      return { uid: -1, gid: -1 };
    }
  }

  async function serve(socket: Socket): Promise<void> {
    const peer = peerIn(socket);
    const gone = new AbortController();
    socket.once('close', () => gone.abort());
    const idleAfter = options.idleAfter ?? IDLE_AFTER;
    socket.on('timeout', () => socket.destroy());
    socket.setTimeout(idleAfter);
    await write(socket, greeting());
    try {
      for await (const line of readLines(
        socket.iterator({ destroyOnReturn: false }),
        LONGEST_REQUEST,
        true,
      )) {
        if (line.trim() === '') continue;
        socket.setTimeout(0);
        silent.delete(socket);
        await answer(socket, line, peer, gone.signal);
        if (socket.destroyed) return;
        socket.setTimeout(idleAfter);
      }
    } catch (error) {
      if (error instanceof LineTooLong) await write(socket, { ok: false, error: errorOf(error) });
      else if (!socket.destroyed) throw error;
    }
    socket.setTimeout(idleAfter);
    socket.end(() => socket.destroy());
  }

  async function answer(
    socket: Socket,
    line: string,
    peer: SocketPeer | null,
    gone: AbortSignal,
  ): Promise<void> {
    try {
      const request = parseRequest(line);
      const handler = handlerOf(request.request);
      if (handler === undefined) throw unknownRequest(request.request);
      const answering = handler(request, peer, gone);
      if (Symbol.asyncIterator in answering) await sendParts(socket, answering);
      else await write(socket, { ok: true, result: await answering });
    } catch (error) {
      if (!(error instanceof RequestError)) {
        complain(`control request failed: ${error instanceof Error ? error.stack : String(error)}`);
      }
      await write(socket, { ok: false, error: errorOf(error) });
    }
  }

  async function sendParts(socket: Socket, parts: AsyncIterable<unknown>): Promise<void> {
    for await (const part of parts) {
      if (socket.destroyed) return;
      await write(socket, { ok: true, result: part, more: true });
      if (socket.destroyed) return;
    }
    await write(socket, { ok: true });
  }

  /** Resolves when the client has taken it; one that does not is sent away. */
  async function write(socket: Socket, message: Greeting | Reply): Promise<void> {
    if (socket.destroyed || !socket.writable) return;
    if (socket.write(lineOf(message))) return;
    const timer = setTimeout(() => socket.destroy(), options.readWithin ?? READ_WITHIN);
    const settled = new AbortController();
    const { signal } = settled;
    await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })]).catch(
      () => {},
    );
    settled.abort();
    clearTimeout(timer);
  }

  return {
    get clients() {
      return clients.size;
    },
    close() {
      server.close();
      for (const socket of clients) socket.destroy();
    },
  };
}

function greeting(): Greeting {
  return { pinholed: VERSION, protocol: PROTOCOL };
}

function lineOf(message: Greeting | Reply): string {
  return `${JSON.stringify(message)}\n`;
}

function errorOf(error: unknown): Extract<Reply, { ok: false }>['error'] {
  if (error instanceof RequestError) return { code: error.code, message: error.message };
  if (error instanceof LineTooLong) {
    return { code: 'bad-request', message: `expected a line of at most ${LONGEST_REQUEST} bytes` };
  }
  return { code: 'internal', message: 'the daemon made a mistake; its log has more' };
}

function parseRequest(line: string): Request {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new RequestError('bad-request', 'expected one JSON object in a line');
  }
  if (!isFields(value)) throw new RequestError('bad-request', 'expected a JSON object');
  const { request, protocol } = value;
  if (protocol !== undefined && protocol !== PROTOCOL) {
    throw new RequestError(
      'protocol',
      `the daemon (pinholed ${VERSION}) speaks protocol ${PROTOCOL}, not ${JSON.stringify(protocol)?.slice(0, 20)}`,
    );
  }
  if (typeof request !== 'string') throw new RequestError('bad-request', 'expected a field "request"');
  return value as unknown as Request;
}

function unknownRequest(name: string): RequestError {
  return new RequestError('unknown-request', `there is no request ${JSON.stringify(name.slice(0, 40))}`);
}
