import { Buffer } from 'node:buffer';
import type { Address } from '../../address/address.ts';
import { directionKey, reverseKey } from '../../packet/direction.ts';
import {
  createWebSocketReader,
  type Handshake,
  opensWebSocket,
  type WebSocketReader,
} from '../../packet/websocket.ts';
import { isSipError, type SipError, type SipErrorReason, type SipMessage } from '../../sip/message.ts';
import { readSip, type SipLimits } from '../../sip/read.ts';
import type { SipFramer } from '../../sip/stream.ts';
import { type ConnectionDirection, reverseOf } from './connections.ts';

/** Both directions of one connection have to agree before a client's frames are read. */
interface WebSocketAgreement {
  /** The server has granted what the client asked for. */
  grant(): void;
  isGranted(): boolean;
}

/** The head of a handshake, in bytes. */
const LONGEST_HEAD = 8192;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const EMPTY = Buffer.alloc(0);
const NOTHING: readonly (SipMessage | SipError)[] = [];

/**
 * SIP over WebSocket in clear (RFC 7118), as a proxy in front of a PBX passes it on: one message of WebSocket is one of SIP.
 * Takes a direction from its first byte on, the handshake. Whatever is not read any further is so for good.
 */
function createWebSocketFramer(
  which: Handshake,
  limits: () => SipLimits,
  agreement: WebSocketAgreement,
): SipFramer {
  let head: Buffer | null = EMPTY;
  let headLength = 0;
  let reader: WebSocketReader | null = null;
  let stopped: SipErrorReason | null = null;
  let fault: string | null = null;
  let taken: Buffer[] = [];

  /** What follows the handshake; null while it is not whole, or when nothing more is read. */
  function afterHandshake(bytes: Buffer): Buffer | null {
    const before = headLength;
    headLength = Math.min(LONGEST_HEAD, before + bytes.length);
    if (headLength > head!.length) {
      const larger = Buffer.alloc(Math.min(LONGEST_HEAD, Math.max(2 * head!.length, headLength)));
      head!.copy(larger, 0, 0, before);
      head = larger;
    }
    bytes.copy(head!, before);
    const all = head!.subarray(0, headLength);
    const end = all.indexOf(END_OF_HEAD, Math.max(0, before - 3));
    if (end < 0 && before + bytes.length <= LONGEST_HEAD) return null;
    head = null;
    const length = end + END_OF_HEAD.length;
    if (end < 0 || !opensWebSocket(all.subarray(0, length), which, 'sip')) {
      stopped = 'not-sip';
      return null;
    }
    if (which === 'response') agreement.grant();
    reader = createWebSocketReader(which === 'request', limits().maxBytes);
    return bytes.subarray(length - before);
  }

  function push(bytes: Buffer): readonly (SipMessage | SipError)[] {
    taken = [];
    if (stopped !== null) return NOTHING;
    const frames = head === null ? bytes : afterHandshake(bytes);
    if (frames === null || reader === null || frames.length === 0) return NOTHING;
    if (which === 'request' && !agreement.isGranted()) {
      stopped = 'not-sip';
      return NOTHING;
    }
    const answers: (SipMessage | SipError)[] = [];
    const wrong = reader.push(frames, (message) => {
      // A line break alone keeps the connection alive (RFC 7118 5.5 names ping; some send this).
      if (message.length <= 4) return;
      const whole = Buffer.from(message);
      const read = readSip(whole, { ...limits(), stream: false });
      answers.push(read);
      if (!isSipError(read)) taken.push(whole);
    });
    if (wrong !== null) {
      stopped = 'not-sip';
      fault = `SIP over WebSocket, of which ${wrong}`;
    }
    return answers;
  }

  return {
    push,
    lose() {
      stopped ??= 'truncated-body';
      head = null;
      reader = null;
    },
    get taken() {
      return taken;
    },
    get held() {
      return this.memory;
    },
    get memory() {
      return (head?.length ?? 0) + (reader?.memory ?? 0);
    },
    skipped: 0,
    isLost: false,
    get stopped() {
      return stopped;
    },
    get fault() {
      return fault;
    },
  };
}

interface WebSocketsOptions {
  readonly limits: () => SipLimits;
  /** Connections that are known at once. */
  readonly most: () => number;
  readonly isInside: (address: Address) => boolean;
  /** The other end is a peer with a name. */
  readonly isNamedPeer: (direction: ConnectionDirection) => boolean;
}

/**
 * Which WebSockets are read. A page of any site can have a browser open one to a server of that site and send what it likes
 * in it: one is read where its server is an inside host, or a peer with a name.
 */
export function createWebSockets({ limits, most, isInside, isNamedPeer }: WebSocketsOptions) {
  /** Directions from client to server that the server has granted. */
  const granted = new Set<string>();
  return {
    /** Null where the stream is none that may be read. */
    framer(stream: ConnectionDirection, which: Handshake | null): SipFramer | null {
      if (which === null) return null;
      const toServer = which === 'request' ? stream : reverseOf(stream);
      if (!isInside(toServer.destination) && !isNamedPeer(toServer)) return null;
      const key = directionKey(toServer);
      return createWebSocketFramer(which, limits, {
        grant() {
          granted.delete(key);
          granted.add(key);
          if (granted.size > most()) granted.delete(granted.values().next().value!);
        },
        isGranted: () => granted.has(key),
      });
    },
    has: (stream: ConnectionDirection): boolean =>
      granted.size > 0 && (granted.has(directionKey(stream)) || granted.has(reverseKey(stream))),
    closed(stream: ConnectionDirection): void {
      if (granted.size > 0) granted.delete(directionKey(stream));
    },
  };
}

const REQUEST = Buffer.from('GET ');
const RESPONSE = Buffer.from('HTTP');

/** Which side of a handshake a stream begins like; null: neither; undefined: too few bytes to tell. */
function handshakeOf(start: Buffer): Handshake | null | undefined {
  const has = (word: Buffer) => start.subarray(0, word.length).equals(word.subarray(0, start.length));
  if (start.length >= REQUEST.length) return has(REQUEST) ? 'request' : has(RESPONSE) ? 'response' : null;
  return has(REQUEST) || has(RESPONSE) ? undefined : null;
}

/** A framer that is chosen by the first bytes of its stream. */
export function createChosenFramer(choose: (which: Handshake | null) => SipFramer): SipFramer {
  let start = Buffer.alloc(0);
  let chosen: SipFramer | null = null;
  return {
    push(bytes) {
      if (chosen !== null) return chosen.push(bytes);
      const all = start.length === 0 ? bytes : Buffer.concat([start, bytes]);
      const which = handshakeOf(all);
      if (which === undefined) {
        start = Buffer.from(all);
        return NOTHING;
      }
      chosen = choose(which);
      start = Buffer.alloc(0);
      return chosen.push(all);
    },
    lose() {
      chosen ??= choose(null);
      chosen.lose();
    },
    get taken() {
      return chosen?.taken ?? [];
    },
    get held() {
      return chosen?.held ?? start.length;
    },
    get memory() {
      return chosen?.memory ?? start.length;
    },
    get skipped() {
      return chosen?.skipped ?? 0;
    },
    get isLost() {
      return chosen?.isLost ?? false;
    },
    get stopped() {
      return chosen?.stopped ?? null;
    },
    get fault() {
      return chosen?.fault ?? null;
    },
  };
}
