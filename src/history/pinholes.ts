import type { Address } from '../address/address.ts';
import { portRange } from '../address/ports.ts';
import { createFifo, type Fifo } from '../call/fifo.ts';
import type { CloseReason } from '../call/wanted.ts';
import type { PinholeHappening } from '../inspector/happening.ts';
import { extended } from '../lists.ts';
import { inOnePiece } from '../own-copy.ts';
import type { FramePlace, PinholeReport } from './call-report.ts';
import { shared } from './words.ts';

/** A pinhole of one call, from its opening on. */
export interface PinholeTrace extends PinholeReport {
  readonly id: string;
  /** Id of the leg that holds it. */
  readonly legId: string;
  agreed: boolean;
  onTrial: boolean;
  closed: FramePlace | null;
  closedAt: number | null;
  closeReason: CloseReason | null;
  packets: number;
  sent: number | null;
  /** Why and when it is to be closed; null while it is wanted, if only on trial. */
  leaving: { readonly reason: CloseReason; readonly until: number } | null;
}

export interface PinholeTraces {
  /** Takes what happened at `place`; null when a deadline did it, `last` being the frame before. */
  take(event: PinholeHappening, place: FramePlace | null, last: FramePlace): void;
  of(legId: string): readonly PinholeTrace[];
  /** The capture is over: what already has its last moment is closed then; the rest stays open. */
  settle(): void;
  forget(legId: string): void;
}

/** Pinholes by where they lead to, for who has packets to find the pinhole of. */
export interface PinholeSearch {
  /** Those open now that lead to this UDP port, oldest first: the latest 64 at most. */
  openAt(address: Address, port: number): readonly PinholeTrace[];
  /** The latest of them. */
  latestAt(address: Address, port: number): PinholeTrace | null;
  /** The one closed last that led to this UDP port. */
  closedAt(address: Address, port: number): PinholeTrace | null;
  /** The pinhole with this id as the call holds it, or held it, that opened it last. */
  byId(id: string): PinholeTrace | null;
}

/** What a search is told. */
interface PinholeIndex extends PinholeSearch {
  opened(record: PinholeTrace): void;
  closed(record: PinholeTrace): void;
  forgotten(record: PinholeTrace): void;
}

const NONE: readonly PinholeTrace[] = [];
/** What anybody wants to read of those that share a port. */
const MOST_TOLD = 64;

/** Who held which pinhole from when to when, and why it ended. */
export function createPinholeTraces(index: PinholeIndex | null = null): PinholeTraces {
  const byLeg = new Map<string, readonly PinholeTrace[]>();
  /** By call and pinhole id. */
  const open = new Map<string, PinholeTrace>();

  function take(event: PinholeHappening, place: FramePlace | null, last: FramePlace): void {
    const key = keyOf(event.call.legId, event.pinhole.id);
    if (event.what === 'opened') {
      const record = traceOf(event, place ?? last);
      open.set(key, record);
      byLeg.set(record.legId, extended(byLeg.get(record.legId) ?? NONE, record));
      index?.opened(record);
      return;
    }
    const record = open.get(key);
    if (record === undefined) return;
    if (event.what === 'changed') {
      const leaving = leavingOf(event);
      if (leaving?.reason !== record.leaving?.reason) record.closed = leaving && place;
      record.leaving = leaving;
      record.agreed = event.agreed;
      record.onTrial = isOnTrial(event);
      return;
    }
    open.delete(key);
    record.closed ??= place;
    record.closedAt = event.at;
    record.closeReason = event.reason;
    index?.closed(record);
  }

  function settle(): void {
    for (const record of open.values()) {
      if (record.leaving === null) continue;
      record.closedAt = record.leaving.until;
      record.closeReason = record.leaving.reason;
    }
  }

  function forget(legId: string): void {
    for (const record of byLeg.get(legId) ?? NONE) {
      open.delete(keyOf(legId, record.id));
      index?.forgotten(record);
    }
    byLeg.delete(legId);
  }

  return { take, of: (legId) => byLeg.get(legId) ?? NONE, settle, forget };
}

/** The same, to be searched. */
export function createSearchedPinholes(): PinholeTraces & PinholeSearch {
  const index = createPinholeIndex();
  const { openAt, latestAt, closedAt, byId } = index;
  return { ...createPinholeTraces(index), openAt, latestAt, closedAt, byId };
}

function createPinholeIndex(): PinholeIndex {
  /** Nearly all ports are led to by one; thousands of calls may share one, and each comes and goes by itself. */
  const openByPort = new Map<string, PinholeTrace>();
  const sharedPorts = new Map<string, Fifo<PinholeTrace>>();
  const closedByPort = new Map<string, PinholeTrace>();
  const latest = new Map<string, PinholeTrace>();

  function enter(portKey: string, record: PinholeTrace): void {
    const only = openByPort.get(portKey);
    const all = sharedPorts.get(portKey);
    if (all !== undefined) all.add(record);
    else if (only === undefined) openByPort.set(portKey, record);
    else share(portKey, only, record);
  }

  function share(portKey: string, one: PinholeTrace, other: PinholeTrace): void {
    const all = createFifo<PinholeTrace>();
    all.add(one);
    all.add(other);
    openByPort.delete(portKey);
    sharedPorts.set(portKey, all);
  }

  function leave(portKey: string, record: PinholeTrace): void {
    if (openByPort.get(portKey) === record) openByPort.delete(portKey);
    const all = sharedPorts.get(portKey);
    all?.delete(record);
    if (all?.size === 0) sharedPorts.delete(portKey);
  }

  return {
    opened(record) {
      latest.set(record.id, record);
      eachPort(record, (portKey) => enter(portKey, record));
    },
    closed(record) {
      eachPort(record, (portKey) => {
        leave(portKey, record);
        closedByPort.set(portKey, record);
      });
    },
    forgotten(record) {
      if (latest.get(record.id) === record) latest.delete(record.id);
      eachPort(record, (portKey) => {
        if (closedByPort.get(portKey) === record) closedByPort.delete(portKey);
        leave(portKey, record);
      });
    },
    openAt(address, port) {
      const only = openByPort.get(`${address} ${port}`);
      if (only !== undefined) return [only];
      return sharedPorts.get(`${address} ${port}`)?.latest(MOST_TOLD) ?? NONE;
    },
    latestAt: (address, port) =>
      openByPort.get(`${address} ${port}`) ?? sharedPorts.get(`${address} ${port}`)?.last() ?? null,
    closedAt: (address, port) => closedByPort.get(`${address} ${port}`) ?? null,
    byId: (id) => latest.get(id) ?? null,
  };
}

function keyOf(legId: string, pinholeId: string): string {
  return inOnePiece(`${legId} ${pinholeId}`);
}

/** Written out: V8 keeps a description of its own, of half a kilobyte, for each object of so many spread ones. */
function traceOf(event: PinholeHappening, place: FramePlace): PinholeTrace {
  const { pinhole } = event;
  return {
    id: pinhole.id,
    protocol: shared(pinhole.protocol),
    sources: pinhole.sources,
    sourcePort: pinhole.sourcePort,
    address: pinhole.address,
    ports: portRange(pinhole.ports[0], pinhole.ports[1]),
    kind: shared(pinhole.kind ?? pinhole.protocol),
    media: shared(pinhole.media),
    legId: event.call.legId,
    slot: shared(event.slot),
    agreed: event.agreed,
    opened: place,
    openedAt: event.at,
    direction: shared(pinhole.direction),
    external: pinhole.translation?.external ?? null,
    onTrial: isOnTrial(event),
    closed: null,
    closedAt: null,
    closeReason: null,
    packets: 0,
    sent: null,
    leaving: leavingOf(event),
  };
}

/** No longer wanted, and only lingering. A candidate on trial is wanted still. */
function leavingOf({ reason, until }: PinholeHappening): PinholeTrace['leaving'] {
  return reason === null || reason === 'unused-candidate' ? null : { reason, until };
}

function isOnTrial({ reason }: PinholeHappening): boolean {
  return reason === 'unused-candidate';
}

function eachPort({ protocol, address, ports }: PinholeTrace, action: (key: string) => void): void {
  if (protocol !== 'udp') return;
  for (let port = ports[0]; port <= ports[1]; port++) action(inOnePiece(`${address} ${port}`));
}
