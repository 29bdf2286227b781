import { Buffer } from 'node:buffer';
import { type PacketError, type PacketView, readReassembled } from './ip.ts';
import { createQueue, type Link, newLink } from './queue.ts';

export interface ReassemblyOptions {
  /** How long a datagram may take from its first fragment to its last, in ms. RFC 8200 allows 60 s, pf uses 30 s. */
  readonly timeoutMs?: number;
  /** Bytes kept over all datagrams, counting 128 bytes of book-keeping a fragment. The oldest datagrams go first. */
  readonly maxBytes?: number | (() => number);
  readonly maxDatagrams?: number;
  /** Fragments of one datagram; 65,535 bytes over links of 576 bytes make 119. */
  readonly maxFragments?: number;
}

export interface FragmentReassembler {
  /**
   * Takes a view whose `fragment` is set, at `now` ms (any clock that does not run backwards), and copies what
   * it keeps. Returns the whole datagram once it is complete, null while fragments are missing, or what is
   * wrong with it. A refused datagram stays refused until its time is over.
   */
  add(view: PacketView, now: number): PacketView | PacketError | null;
  /** Forgets what is older than the time-out; `add` does so too. */
  expire(now: number): void;
  /** Bytes kept at the moment. */
  readonly bytes: number;
  /** Datagrams that are waiting for fragments at the moment, refused ones included. */
  readonly datagrams: number;
  /** Datagrams of which fragments never came, or have not come yet, so far. */
  readonly incomplete: number;
}

interface Piece {
  readonly offset: number;
  readonly bytes: Buffer;
}

interface Datagram {
  readonly key: string;
  readonly startedAt: number;
  /** Sorted by offset, never overlapping. */
  pieces: Piece[];
  received: number;
  /** Length of the whole payload, known once the last fragment is in. */
  total: number | null;
  protocolNumber: number;
  refused: PacketError | null;
  readonly inOrder: Link<Datagram>;
}

const PIECE_OVERHEAD = 128;
const MAX_PAYLOAD = 65_535;

/**
 * Reassembles IPv4 (RFC 791) and IPv6 (RFC 8200 section 4.5) fragments. A fragment that overlaps another one
 * refuses the datagram with all its fragments, those to come included (RFC 5722); an exact duplicate is ignored.
 */
export function createFragmentReassembler(options: ReassemblyOptions = {}): FragmentReassembler {
  const { timeoutMs = 30_000, maxDatagrams = 1024, maxFragments = 128 } = options;
  const bound = options.maxBytes ?? 4 << 20;
  const maxBytes = typeof bound === 'number' ? () => bound : bound;
  const datagrams = new Map<string, Datagram>();
  /** In order of `startedAt`. */
  const order = createQueue<Datagram>((datagram) => datagram.inOrder);
  let kept = 0;
  let abandoned = 0;

  function forget(datagram: Datagram): void {
    datagrams.delete(datagram.key);
    order.remove(datagram);
    dropPieces(datagram);
  }

  function abandon(datagram: Datagram): void {
    if (datagram.refused === null) abandoned++;
    forget(datagram);
  }

  function dropPieces(datagram: Datagram): void {
    kept -= datagram.received + datagram.pieces.length * PIECE_OVERHEAD;
    datagram.pieces = [];
    datagram.received = 0;
  }

  function refuse(datagram: Datagram, error: PacketError): PacketError {
    dropPieces(datagram);
    datagram.refused = error;
    return error;
  }

  function expire(now: number): void {
    while (order.first !== null && now - order.first.startedAt >= timeoutMs) abandon(order.first);
  }

  function makeRoom(): void {
    while (order.first !== null && (kept > maxBytes() || datagrams.size > maxDatagrams)) abandon(order.first);
  }

  function find(view: PacketView, id: number, now: number): Datagram {
    const protocol = view.family === 4 ? view.protocolNumber : '';
    const key = `${view.family} ${view.source} ${view.destination} ${protocol} ${id}`;
    const known = datagrams.get(key);
    if (known !== undefined) return known;
    const datagram: Datagram = {
      key,
      startedAt: now,
      pieces: [],
      received: 0,
      total: null,
      protocolNumber: view.protocolNumber,
      refused: null,
      inOrder: newLink(),
    };
    datagrams.set(key, datagram);
    order.toBack(datagram);
    makeRoom();
    return datagram;
  }

  function add(view: PacketView, now: number): PacketView | PacketError | null {
    expire(now);
    const { fragment, payload } = view;
    if (fragment === null) return view;
    const datagram = find(view, fragment.id, now);
    if (datagram.refused !== null) return datagram.refused;
    const { offset, more } = fragment;
    const end = offset + payload.length;
    if (view.missing > 0 || payload.length === 0 || (more && payload.length % 8 !== 0)) {
      return refuse(datagram, 'fragment-length');
    }
    if (end > MAX_PAYLOAD) return refuse(datagram, 'fragment-too-long');

    const { pieces } = datagram;
    const index = firstAtOrAfter(pieces, offset);
    const next = pieces[index];
    const before = pieces[index - 1];
    if (next !== undefined && next.offset === offset && next.bytes.equals(payload)) {
      const isLast = datagram.total === end;
      return isLast === !more ? null : refuse(datagram, 'fragment-overlap');
    }
    if (before !== undefined && before.offset + before.bytes.length > offset) {
      return refuse(datagram, 'fragment-overlap');
    }
    if (next !== undefined && next.offset < end) return refuse(datagram, 'fragment-overlap');
    if (datagram.total !== null && (!more || end > datagram.total)) {
      return refuse(datagram, 'fragment-overlap');
    }
    if (!more && next !== undefined) return refuse(datagram, 'fragment-overlap');
    if (pieces.length >= maxFragments) return refuse(datagram, 'fragment-limit');

    if (!more) datagram.total = end;
    if (offset === 0) datagram.protocolNumber = view.protocolNumber;
    pieces.splice(index, 0, { offset, bytes: Buffer.from(payload) });
    datagram.received += payload.length;
    kept += payload.length + PIECE_OVERHEAD;
    if (datagram.received === datagram.total) {
      const bytes = Buffer.concat(
        pieces.map((piece) => piece.bytes),
        datagram.total,
      );
      forget(datagram);
      return readReassembled(view, datagram.protocolNumber, bytes);
    }
    makeRoom();
    return null;
  }

  return {
    add,
    expire,
    get bytes() {
      return kept;
    },
    get datagrams() {
      return datagrams.size;
    },
    get incomplete() {
      let waiting = 0;
      for (const { refused } of datagrams.values()) if (refused === null) waiting++;
      return abandoned + waiting;
    },
  };
}

function firstAtOrAfter(pieces: readonly Piece[], offset: number): number {
  let low = 0;
  let high = pieces.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (pieces[middle]!.offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
