import { address, port } from '../address/shape.ts';
import {
  either,
  flag,
  integer,
  list,
  nameOf,
  object,
  only,
  orNull,
  type Shape,
  ShapeError,
  text,
} from '../shape.ts';
import { sharedCodecs } from './codecs.ts';
import type { Candidate, Connection, SdpError, SdpErrorReason, Session, Stream } from './session.ts';

/** What may be in a description that was read: no line of it is longer. */
const WORD = text(4096);
const MOST_STREAMS = 1024;
const MOST_CANDIDATES = 4096;
const COUNT = integer(0, 1 << 20);

const SDP_ERRORS: Readonly<Record<SdpErrorReason, true>> = {
  'malformed-sdp': true,
  'several-sdp': true,
  'sdp-too-large': true,
};

const CONNECTIONS = {
  address: object<Extract<Connection, { kind: 'address' }>>({ kind: only('address'), address }),
  hostname: object<Extract<Connection, { kind: 'hostname' }>>({ kind: only('hostname'), name: WORD }),
  unspecified: object<Extract<Connection, { kind: 'unspecified' }>>({ kind: only('unspecified') }),
  none: object<Extract<Connection, { kind: 'none' }>>({ kind: only('none') }),
} satisfies Record<Connection['kind'], unknown>;

const connection: Shape<Connection> = {
  isPlain: true,
  write: (value) => value,
  read(value, at, moment) {
    const kind = (value as Connection | null)?.kind;
    if (typeof kind !== 'string' || !Object.hasOwn(CONNECTIONS, kind)) {
      throw new ShapeError(`expected a connection at ${at}`);
    }
    return CONNECTIONS[kind].read(value, at, moment);
  },
};

export const candidate = object<Candidate>({
  component: COUNT,
  transport: WORD,
  connection,
  port,
  type: WORD,
});

const codecList = list(text(64), 64);
const codecs: Shape<readonly string[]> = {
  isPlain: true,
  write: (value) => value,
  read: (value, at, moment) => sharedCodecs(codecList.read(value, at, moment)),
};

const stream = object<Stream>({
  media: WORD,
  proto: WORD,
  codecs,
  port,
  portCount: COUNT,
  connection,
  direction: nameOf({ sendrecv: true, sendonly: true, recvonly: true, inactive: true }),
  rtcp: orNull(object({ port, connection: orNull(connection) })),
  rtcpMux: flag,
  rtcpMuxOnly: flag,
  bundleOnly: flag,
  mid: WORD,
  setup: WORD,
  candidates: list(candidate, MOST_CANDIDATES),
  candidatesDropped: COUNT,
});

export const session = object<Session>({
  origin: WORD,
  version: WORD,
  streams: list(stream, MOST_STREAMS),
  streamsDropped: COUNT,
  bundles: list(list(WORD, MOST_STREAMS), MOST_STREAMS),
});

export const sessionOrError: Shape<Session | SdpError> = either(
  'error',
  object<SdpError>({ error: nameOf(SDP_ERRORS), detail: WORD }),
  session,
);
