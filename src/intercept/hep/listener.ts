import { Buffer } from 'node:buffer';
import type { Libc } from '../../../native-bindings/engine.ts';
import {
  type DatagramSocket,
  type InetName,
  openDatagramSocket,
  openStreamListener,
  type StreamListener,
  type StreamSocket,
} from '../../../native-bindings/inet-socket.ts';
import { pollfd } from '../../../native-bindings/poll.ts';
import {
  type Address,
  addressBytes,
  formatIPv4,
  formatIPv6,
  type TransportAddress,
} from '../../address/address.ts';
import { createHepFramer, type HepFramer } from './framing.ts';

/** What arrived from one host: a message of HEP as it came, or what is wrong with the connection. */
export interface HepArrival {
  readonly sender: Address;
  /** Valid until the next `receive`. */
  readonly bytes: Buffer | null;
  /** Why a connection was given up; null where there are bytes. */
  readonly fault: string | null;
}

/** Takes what hosts mirror, on the thread that takes packets: neither has to wait for the other. */
export interface HepListener {
  /** Waits at most `timeout` ms until something has come here, or one of `beside` can be read. */
  wait(beside: readonly number[], timeout: number): void;
  /** What has come, without waiting: at most `MOST_AT_ONCE`, the rest stays for the next time. */
  receive(): readonly HepArrival[];
  close(): void;
}

interface HepListenerOptions {
  readonly at: TransportAddress;
  readonly transports: readonly ('udp' | 'tcp')[];
  /** Whether a host may connect; what others send in datagrams is handed over all the same, to be refused by name. */
  readonly mayConnect: (sender: Address) => boolean;
}

/** Messages and datagrams handed over at a time, so that packets wait for no flood. */
const MOST_AT_ONCE = 64;
/** Of them datagrams while there are connections, and what one connection brings while there are others: none has all the places. */
const MOST_DATAGRAMS = 32;
const MOST_OF_ONE = 16;
/** Connections taken, or closed again, at a time. */
const MOST_ACCEPTED = 16;
/** Connections at a time; the oldest makes room. */
const MOST_CONNECTIONS = 64;
const RECEIVE_BUFFER = 4 * 1024 * 1024;
const POLLIN = 1;

interface Connection {
  readonly socket: StreamSocket;
  readonly sender: Address;
  readonly framer: HepFramer;
}

/** Opens the sockets. Throws SystemError: EADDRINUSE, EADDRNOTAVAIL where this machine has no such address. */
export function openHepListener(libc: Libc, { at, transports, mayConnect }: HepListenerOptions): HepListener {
  const name = { address: addressBytes(at.address), port: at.port };
  const text = `hep.listen ${at.address} port ${at.port}`;
  let datagrams: DatagramSocket | null = null;
  let listener: StreamListener | null = null;
  try {
    if (transports.includes('udp')) datagrams = openDatagramSocket(libc, name, RECEIVE_BUFFER, text);
    if (transports.includes('tcp')) listener = openStreamListener(libc, name, text);
  } catch (error) {
    datagrams?.close();
    throw error;
  }
  const connections = new Set<Connection>();
  let arrivals: HepArrival[] = [];
  let polled: Buffer | null = null;
  let turn = 0;

  function descriptors(beside: readonly number[]): Buffer {
    const fds = [...beside, datagrams?.fd, listener?.fd, ...[...connections].map(({ socket }) => socket.fd)];
    const open = fds.filter((fd) => fd !== undefined);
    const bytes = Buffer.alloc(open.length * pollfd.size);
    for (const [index, fd] of open.entries()) {
      pollfd.encode({ fd, events: POLLIN }, bytes, index * pollfd.size);
    }
    return bytes;
  }

  function receiveDatagrams(most: number): void {
    while (datagrams !== null && arrivals.length < most) {
      const received = datagrams.receive();
      if (received === null) return;
      arrivals.push({ sender: senderOf(received.from), bytes: Buffer.from(received.bytes), fault: null });
    }
  }

  function accept(): void {
    if (listener === null) return;
    for (let tries = 0; tries < MOST_ACCEPTED; tries++) {
      const socket = listener.accept();
      if (socket === null) return;
      polled = null;
      const sender = senderOf(socket.from);
      if (!mayConnect(sender)) {
        socket.close();
        arrivals.push({ sender, bytes: null, fault: 'it connected' });
        continue;
      }
      if (connections.size >= MOST_CONNECTIONS) end(connections.values().next().value!);
      connections.add({ socket, sender, framer: createHepFramer() });
    }
  }

  function end(connection: Connection): void {
    connection.socket.close();
    connections.delete(connection);
    polled = null;
  }

  /** Each time another connection is the first. */
  function receiveStreams(): void {
    const all = [...connections];
    turn = (turn + 1) % Math.max(1, all.length);
    for (const connection of [...all.slice(turn), ...all.slice(0, turn)]) {
      const most = all.length === 1 ? MOST_AT_ONCE : arrivals.length + MOST_OF_ONE;
      receiveStream(connection, Math.min(MOST_AT_ONCE, most));
    }
  }

  function receiveStream(connection: Connection, most: number): void {
    const { socket, sender, framer } = connection;
    while (arrivals.length < most) {
      const bytes = socket.receive();
      if (bytes === null) return;
      if (bytes === 'end') {
        end(connection);
        return;
      }
      const wrong = framer.push(bytes, (message) => {
        arrivals.push({ sender, bytes: Buffer.from(message), fault: null });
      });
      if (wrong === null) continue;
      arrivals.push({ sender, bytes: null, fault: wrong.fault });
      end(connection);
      return;
    }
  }

  return {
    wait(beside, timeout) {
      polled ??= descriptors(beside);
      libc.poll(polled, polled.length / pollfd.size, timeout);
    },
    receive() {
      arrivals = [];
      receiveDatagrams(connections.size === 0 ? MOST_AT_ONCE : MOST_DATAGRAMS);
      accept();
      receiveStreams();
      return arrivals;
    },
    close() {
      for (const connection of [...connections]) end(connection);
      datagrams?.close();
      listener?.close();
    },
  };
}

function senderOf({ address }: InetName): Address {
  return address.length === 4 ? formatIPv4(address, 0) : formatIPv6(address, 0);
}
