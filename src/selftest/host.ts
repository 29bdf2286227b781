import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { createInterface } from 'node:readline';
import { type Address, familyOf, type TransportAddress } from '../address/address.ts';

/** A datagram that a host of the copy has got. */
export interface Got {
  readonly to: TransportAddress;
  readonly from: TransportAddress;
  readonly text: string;
}

type Order =
  | { readonly bind: TransportAddress }
  | { readonly from: TransportAddress; readonly to: TransportAddress; readonly text: string };
type Told = { readonly bound: TransportAddress } | { readonly got: Got };

/** A host in a namespace of its own: it sends datagrams and tells of those that come. */
export interface TestHost {
  bind(at: TransportAddress): Promise<boolean>;
  send(from: TransportAddress, to: TransportAddress, text: string): void;
  /** The first datagram with this text, come or to come; null when none does within `ms`. */
  gets(text: string, ms: number): Promise<Got | null>;
  /** Whether one with this text has come. */
  has(text: string): boolean;
  close(): void;
}

/** Starts this program as a host: `command` runs it in the namespace. */
export function startHost(command: readonly string[]): TestHost {
  const [program = '', ...words] = command;
  const child: ChildProcess = spawn(program, words, { stdio: ['pipe', 'pipe', 'inherit'] });
  const got: Got[] = [];
  const bound = new Set<string>();
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const look of [...waiting]) look();
  };
  child.stdin!.on('error', () => {});
  child.on('error', wake);
  child.on('exit', wake);
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const told = JSON.parse(line) as Told;
    if ('bound' in told) bound.add(nameOf(told.bound));
    else got.push(told.got);
    wake();
  });
  const say = (order: Order) => child.stdin!.write(`${JSON.stringify(order)}\n`);

  function until<T>(look: () => T | null, ms: number): Promise<T | null> {
    return new Promise((resolve) => {
      const done = (value: T | null) => {
        clearTimeout(timer);
        waiting.delete(again);
        resolve(value);
      };
      const again = () => {
        const value = look();
        if (value !== null || child.exitCode !== null) done(value);
      };
      const timer = setTimeout(() => done(look()), ms);
      waiting.add(again);
      again();
    });
  }

  return {
    async bind(at) {
      say({ bind: at });
      return (await until(() => (bound.has(nameOf(at)) ? true : null), BIND_WITHIN)) === true;
    },
    send: (from, to, text) => say({ from, to, text }),
    gets: (text, ms) => until(() => got.find((one) => one.text === text) ?? null, ms),
    has: (text) => got.some((one) => one.text === text),
    close: () => child.kill(),
  };
}

/** ms in which a datagram crosses the copy. */
export const WITHIN = 10_000;
/** ms; the program has to start first. */
const BIND_WITHIN = 60_000;

/** The other end: does what is written to standard input, until that ends. */
export async function beHost(): Promise<number> {
  const sockets = new Map<string, Socket>();
  const tell = (told: Told) => process.stdout.write(`${JSON.stringify(told)}\n`);
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line) as Order;
    if ('bind' in order) {
      const at = order.bind;
      const socket = createSocket(familyOf(at.address) === 4 ? 'udp4' : 'udp6');
      sockets.set(nameOf(at), socket);
      socket.on('error', (error) => process.stderr.write(`pinholed: ${nameOf(at)}: ${error.message}\n`));
      socket.on('message', (bytes, { address, port }) =>
        tell({ got: { to: at, from: { address, port }, text: bytes.toString('latin1') } }),
      );
      socket.bind(at.port, at.address, () => tell({ bound: at }));
    } else {
      sockets
        .get(nameOf(order.from))
        ?.send(Buffer.from(order.text, 'latin1'), order.to.port, order.to.address);
    }
  }
  for (const socket of sockets.values()) socket.close();
  return 0;
}

function nameOf({ address, port }: { readonly address: Address; readonly port: number }): string {
  return `${address} ${port}`;
}
