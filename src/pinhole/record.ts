import { address, port, ports } from '../address/shape.ts';
import type { CloseReason, MediaKind } from '../call/wanted.ts';
import {
  flag,
  list,
  nameOf,
  object,
  only,
  orNull,
  past,
  plain,
  type Shape,
  spelled,
  text,
  time,
} from '../shape.ts';
import { type Opening, openingId, type Translation } from './opening.ts';
import { KINDS, type Pinhole } from './pinhole.ts';
import type { Held } from './table.ts';

const CLOSE_REASONS: Readonly<Record<CloseReason, true>> = {
  bye: true,
  'bye-timeout': true,
  cancelled: true,
  'call-failed': true,
  'no-response': true,
  'ringing-timeout': true,
  'session-expired': true,
  'max-duration': true,
  'over-limit': true,
  'media-idle': true,
  'hold-idle': true,
  'one-way': true,
  'early-over': true,
  'offer-refused': true,
  'stream-disabled': true,
  moved: true,
  answered: true,
  replaced: true,
  'rtcp-mux': true,
  bundled: true,
  'losing-fork': true,
  'unused-candidate': true,
  'new-attempt': true,
  'external-changed': true,
  'connection-closed': true,
  'static-idle': true,
  'registration-expired': true,
  unlisted: true,
  administrator: true,
};

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const DIGITS = '0123456789';
/** Longer than the name of an interface can be on any system. */
const INTERFACE = spelled(1, 63, `${LETTERS}${LETTERS.toUpperCase()}${DIGITS}_.-`);
const MOST_SOURCES = 4096;

const anySource = only('any');
const someSources = list(address, MOST_SOURCES);
const sources: Shape<Opening['sources']> = {
  isPlain: true,
  write: (value) => value,
  read: (value, at, moment) => (Array.isArray(value) ? someSources : anySource).read(value, at, moment),
};

/** The id follows from the rest. */
const pinholeFields = object<Omit<Pinhole, 'id'>>({
  direction: nameOf({ in: true, out: true }),
  protocol: nameOf({ udp: true, tcp: true }),
  sources,
  sourcePort: orNull(port),
  address,
  ports,
  translation: orNull(
    object<Translation>({
      external: address,
      arrivesAt: address,
      interface: orNull(INTERFACE),
      by: nameOf({ pinhole: true, ruleset: true }),
    }),
  ),
  kind: orNull(nameOf<MediaKind>(KINDS)),
  media: text(1024),
  label: spelled(1, 63, `${LETTERS}${DIGITS}:.`),
});

const pinhole: Shape<Pinhole> = {
  isPlain: false,
  write: ({ direction, protocol, sources, sourcePort, address, ports, translation, kind, media, label }) => ({
    direction,
    protocol,
    sources,
    sourcePort,
    address,
    ports,
    translation,
    kind,
    media,
    label,
  }),
  read(value, at, moment) {
    const rest = pinholeFields.read(value, at, moment);
    return { ...rest, id: openingId(rest) };
  },
};

const slot = plain('a side and a number', (value): value is string => {
  if (typeof value !== 'string' || value.length > 16) return false;
  const [side, index, ...more] = value.split(':');
  return more.length === 0 && (side === '0' || side === '1') && String(Number(index)) === index;
});

/** A pinhole as a call holds it. */
export const heldShape = object<Held>({
  pinhole,
  slot,
  openedAt: past,
  candidate: flag,
  agreed: flag,
  trafficAt: orNull(past),
  until: time,
  reason: orNull(nameOf(CLOSE_REASONS)),
});
