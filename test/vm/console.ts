import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A root shell on a serial console that qemu offers as a Unix socket. */
export interface Console {
  /** Runs a line of sh(1) and returns what it printed. Rejects with that when its status is not 0. */
  run(command: string): Promise<string>;
  close(): void;
}

/** Of any shell; the kernel may speak behind it: `random: unblocking device.` */
const FIRST_PROMPT = /[#$%>] ?(?:[a-z]+\d*: .*\r?\n)*$/;
const PROMPT = 'pinholed-test# ';
/** What the shell says while a command goes on in the next line. */
const MORE = 'pinholed-more> ';
/** Characters at once, and ms before the next: uart(4) keeps 384 and loses what is over. */
const CHUNK = 200;
const BETWEEN_CHUNKS = 50;

/** Logs in as root (the official images have no password) once the machine is up, for at most `within` ms. */
export async function openConsole(path: string, within: number): Promise<Console> {
  const socket = await connected(path, within);
  let text = '';
  let wake = () => {};
  socket.setEncoding('latin1');
  socket.on('data', (part: string) => {
    text += part;
    wake();
  });

  /** Waits until `pattern` is in what came since the last call, and takes all up to its end. */
  async function until(pattern: RegExp, ms: number): Promise<string> {
    const deadline = Date.now() + ms;
    for (;;) {
      const found = pattern.exec(text);
      if (found !== null) {
        const end = found.index + found[0].length;
        const taken = text.slice(0, end);
        text = text.slice(end);
        return taken;
      }
      const left = deadline - Date.now();
      if (left <= 0)
        throw new Error(`the console does not say ${pattern}; last it said:\n${text.slice(-2000)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 1000));
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  await until(/login: /, within);
  socket.write('root\n');
  await until(FIRST_PROMPT, 60_000);
  socket.write('exec env ENV= /bin/sh\n');
  await until(FIRST_PROMPT, 60_000);
  // The shell's own line editing would echo all the same.
  socket.write(
    `set +o emacs +o vi; stty -echo cols 10000; PS1='pinholed-''test# '; PS2='pinholed-''more> '\n`,
  );
  await until(new RegExp(PROMPT), 60_000);
  let before: Promise<unknown> = Promise.resolve();

  /** Line by line, each when the one before was read. */
  async function type(command: string): Promise<void> {
    for (const [row, line] of command.split('\n').entries()) {
      if (row > 0) await until(new RegExp(MORE), 60_000);
      for (let at = 0; at < line.length; at += CHUNK) {
        if (at > 0) await sleep(BETWEEN_CHUNKS);
        socket.write(line.slice(at, at + CHUNK));
      }
      socket.write('\n');
    }
  }

  async function runOne(command: string): Promise<string> {
    await type(`{ ${command}\n} </dev/null 2>&1; echo "pinholed-""status $?"`);
    const output = await until(/pinholed-status (\d+)\r?\n/, 600_000);
    await until(new RegExp(PROMPT), 60_000);
    const [, printed, status] = /^([\s\S]*?)pinholed-status (\d+)\r?\n$/.exec(output)!;
    const clean = printed!.replaceAll('\r', '');
    if (status !== '0') throw new Error(`${command}: status ${status}:\n${clean}`);
    return clean;
  }

  return {
    run(command) {
      const result = before.then(() => runOne(command));
      before = result.catch(() => {});
      return result;
    },
    close: () => void socket.destroy(),
  };
}

async function connected(path: string, within: number): Promise<Socket> {
  const deadline = Date.now() + within;
  for (;;) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect(path);
        socket.once('connect', () => resolve(socket));
        socket.once('error', reject);
      });
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
