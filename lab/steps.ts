import type { Address, TransportAddress } from '../src/address/address.ts';

/** What a host of the topology does. `data` is base64; waits are in ms. */
export type Step =
  | { readonly do: 'udp'; readonly socket: string; readonly address: Address; readonly port: number }
  | {
      readonly do: 'send';
      readonly socket: string;
      readonly to: Address;
      readonly port: number;
      readonly data: string;
    }
  /** A whole IP packet, from any source. */
  | { readonly do: 'raw'; readonly data: string }
  /** Waits for exactly this datagram, or exactly these bytes of a stream; `mayFail`: and goes on without it when the time is over. */
  | {
      readonly do: 'expect';
      readonly socket: string;
      readonly data: string;
      readonly within: number;
      readonly mayFail?: true;
    }
  /** One end of many transactions at once, see `talk`. */
  | { readonly do: 'talk'; readonly socket: string; readonly turns: readonly Turn[]; readonly within: number }
  /** Takes what is there. */
  | { readonly do: 'take'; readonly socket: string }
  | { readonly do: 'pause'; readonly ms: number }
  | { readonly do: 'listen'; readonly socket: string; readonly address: Address; readonly port: number }
  | { readonly do: 'accept'; readonly socket: string; readonly on: string; readonly within: number }
  | {
      readonly do: 'connect';
      readonly socket: string;
      readonly address: Address;
      readonly port: number;
      readonly to: Address;
      readonly toPort: number;
    }
  | { readonly do: 'write'; readonly socket: string; readonly data: string }
  | { readonly do: 'close'; readonly socket: string };

/** What a user agent over UDP does when something arrives; `send` in the order given, `data` in base64. */
export interface Turn {
  /** The datagram that it answers, each time that it comes; null: it begins. */
  readonly on: string | null;
  readonly send: readonly {
    readonly socket: string;
    readonly to: Address;
    readonly port: number;
    readonly data: string;
  }[];
  /** The datagram that ends it. Until then all is sent again; null: it is over once it was sent. */
  readonly until: string | null;
}

export interface Request {
  readonly id: number;
  readonly steps: readonly Step[];
}

/** A datagram, or bytes of a stream (none at its end). */
export interface Arrival {
  readonly socket: string;
  readonly from: Address;
  readonly fromPort: number;
  readonly data: string;
}

export interface Report {
  readonly id: number;
  readonly arrivals: readonly Arrival[];
  /** What kept it from going on to the end of the list. */
  readonly failure: string | null;
}

/** How long what is expected may take, in ms: far more than it ever does, and only waited for when a test fails. */
export const PATIENCE = 30_000;

function base64(data: string | Buffer): string {
  return (typeof data === 'string' ? Buffer.from(data, 'latin1') : data).toString('base64');
}

export function udp(socket: string, { address, port }: TransportAddress): Step {
  return { do: 'udp', socket, address, port };
}

export function send(socket: string, to: TransportAddress, data: string | Buffer): Step {
  return { do: 'send', socket, to: to.address, port: to.port, data: base64(data) };
}

export function raw(packet: Buffer): Step {
  return { do: 'raw', data: base64(packet) };
}

export function expect(socket: string, data: string | Buffer, within = PATIENCE): Step {
  return { do: 'expect', socket, data: base64(data), within };
}

type Message = readonly [socket: string, to: TransportAddress, data: string | Buffer];

/** A turn: `on` null begins, `until` null ends it with what it sends. */
export function turn(on: string | null, messages: readonly Message[], until: string | null): Turn {
  return {
    on: on === null ? null : base64(on),
    send: messages.map(([socket, to, data]) => ({
      socket,
      to: to.address,
      port: to.port,
      data: base64(data),
    })),
    until: until === null ? null : base64(until),
  };
}

/**
 * Takes all turns at once, until each is over. What is not answered is sent again after 500 ms, then twice as long each
 * time up to 4 s (T1 and T2 of RFC 3261 17.1.1.1); each datagram of that is among the arrivals, with `from` ''.
 */
export function talk(socket: string, turns: readonly Turn[], within = PATIENCE): Step {
  return { do: 'talk', socket, turns, within };
}

/** Waits for it no longer than that, and goes on. */
export function awaits(socket: string, data: string, within: number): Step {
  return { do: 'expect', socket, data: base64(data), within, mayFail: true };
}

export function take(socket: string): Step {
  return { do: 'take', socket };
}

export function pause(ms: number): Step {
  return { do: 'pause', ms };
}

export function listen(socket: string, { address, port }: TransportAddress): Step {
  return { do: 'listen', socket, address, port };
}

export function accept(socket: string, on: string): Step {
  return { do: 'accept', socket, on, within: PATIENCE };
}

export function connect(socket: string, from: TransportAddress, to: TransportAddress): Step {
  return { do: 'connect', socket, address: from.address, port: from.port, to: to.address, toPort: to.port };
}

export function write(socket: string, data: string | Buffer): Step {
  return { do: 'write', socket, data: base64(data) };
}

export function close(socket: string): Step {
  return { do: 'close', socket };
}

/** What arrived at `socket`, as text. */
export function textsAt(arrivals: readonly Arrival[], socket: string): string[] {
  return arrivals
    .filter((arrival) => arrival.socket === socket)
    .map(({ data }) => Buffer.from(data, 'base64').toString('latin1'));
}
