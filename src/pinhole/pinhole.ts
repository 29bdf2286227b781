import type { MediaKind } from '../call/wanted.ts';
import type { Opening } from './opening.ts';

/** An opening, and what it is called. */
export interface Pinhole extends Opening {
  /** `openingId` of it: equal ids are equal rules. */
  readonly id: string;
  /** Null when it was read back from a filter that does not keep it. */
  readonly kind: MediaKind | null;
  /** Media type of the m= line: audio, video... Empty as `kind` is null. */
  readonly media: string;
  /** `pinholed:<leg id>:<stream>`, at most 63 bytes of [0-9a-z:.]; states are killed by it. */
  readonly label: string;
}

export const KINDS: Readonly<Record<MediaKind, true>> = {
  rtp: true,
  rtcp: true,
  'rtp+rtcp': true,
  udptl: true,
  datachannel: true,
  udp: true,
  msrp: true,
  bfcp: true,
  tcp: true,
};

export function isMediaKind(text: string): text is MediaKind {
  return Object.hasOwn(KINDS, text);
}
