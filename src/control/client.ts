import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { VERSION } from '../version.ts';
import { LineTooLong, readLines } from './line-reader.ts';
import {
  type ErrorCode,
  type Greeting,
  LONGEST_REPLY,
  PROTOCOL,
  type Reply,
  type Request,
} from './protocol.ts';

/** Why the daemon could not be asked; the message is the line to print. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly code: ErrorCode | 'not-running' | 'no-permission' | 'broken';
  constructor(code: ControlError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

export interface ControlClient {
  /** The daemon's version. */
  readonly version: string;
  /** The parts of the answer as they come. Throws ControlError. */
  ask<T>(request: Request): AsyncGenerator<T>;
  /** The only part of the answer. Throws ControlError. */
  askOnce<T>(request: Request): Promise<T>;
  close(): void;
}

const ANSWER_WITHIN = 15_000;

/** Connects to the daemon behind a control socket, and lets it go when `signal` says so. Throws ControlError. */
export async function connectControl(
  path: string,
  answerWithin = ANSWER_WITHIN,
  signal?: AbortSignal,
): Promise<ControlClient> {
  const socket = createConnection({ path, ...(signal && { signal }) });
  try {
    await once(socket, 'connect');
  } catch (error) {
    throw explainConnect(path, error as NodeJS.ErrnoException);
  }
  socket.on('error', () => socket.destroy());
  let timedOut = false;
  socket.on('timeout', () => {
    timedOut = true;
    socket.destroy();
  });
  socket.setTimeout(answerWithin);
  const lines = readLines(socket, LONGEST_REPLY);

  async function nextLine(): Promise<unknown> {
    try {
      const { value, done } = await lines.next();
      if (!done) return JSON.parse(value);
    } catch (error) {
      if (error instanceof LineTooLong || error instanceof SyntaxError) {
        throw new ControlError('broken', `${path}: this is not the control socket of pinholed`);
      }
    }
    const seconds = answerWithin / 1000;
    throw timedOut
      ? new ControlError('broken', `the daemon gave no answer within ${seconds} s`)
      : new ControlError('broken', 'the daemon closed the connection');
  }

  async function* ask<T>(request: Request): AsyncGenerator<T> {
    socket.write(`${JSON.stringify({ ...request, protocol: PROTOCOL })}\n`);
    for (;;) {
      const reply = (await nextLine()) as Reply;
      if (!reply.ok) throw new ControlError(reply.error.code, reply.error.message);
      if (reply.result !== undefined) yield reply.result as T;
      if (reply.more !== true) return;
    }
  }

  async function askOnce<T>(request: Request): Promise<T> {
    let result: T | undefined;
    for await (const part of ask<T>(request)) result ??= part;
    if (result === undefined) throw new ControlError('broken', 'the daemon gave an empty answer');
    return result;
  }

  try {
    const version = checkGreeting(path, await nextLine());
    return { version, ask, askOnce, close: () => void socket.destroy() };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

function explainConnect(path: string, { code, message }: NodeJS.ErrnoException): ControlError {
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    if (code === 'ECONNREFUSED' && !isSocket(path)) {
      return new ControlError(
        'broken',
        `${path}: this is no socket; the daemon's is control.socket of its configuration`,
      );
    }
    const stale = code === 'ECONNREFUSED' ? 'nobody listens there any more' : 'there is no such socket';
    return new ControlError('not-running', `the daemon is not running (${path}: ${stale})`);
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new ControlError(
      'no-permission',
      `no permission to use ${path}: ask as root, or set control.group and control.mode: 0660 for your group`,
    );
  }
  return new ControlError('broken', `${path} cannot be reached: ${message}`);
}

/** False only where it is known to be something else. */
function isSocket(path: string): boolean {
  try {
    return statSync(path).isSocket();
  } catch {
    return true;
  }
}

/** The daemon's version. Throws ControlError when it speaks another protocol, or nothing of the kind. */
function checkGreeting(path: string, line: unknown): string {
  const { pinholed, protocol } = (line ?? {}) as Partial<Greeting>;
  if (typeof pinholed !== 'string' || typeof protocol !== 'number') {
    throw new ControlError('broken', `${path}: this is not the control socket of pinholed`);
  }
  if (protocol === PROTOCOL) return pinholed;
  const newer = protocol > PROTOCOL ? 'update this program' : 'restart the daemon after an update';
  throw new ControlError(
    'protocol',
    `version mismatch: the daemon is pinholed ${pinholed} (protocol ${protocol}), this is ${VERSION} ` +
      `(protocol ${PROTOCOL}): ${newer}`,
  );
}
