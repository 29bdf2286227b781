import type { Address } from '../address/address.ts';
import type { CloseReason } from '../call/wanted.ts';
import type { PinholeHappening } from '../inspector/happening.ts';
import type { FramePlace, PinholeReport } from './call-report.ts';

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
  /** Those open now that lead to this UDP port. */
  openAt(address: Address, port: number): Iterable<PinholeTrace>;
  /** The one closed last that led to this UDP port. */
  closedAt(address: Address, port: number): PinholeTrace | null;
  /** The pinhole with this id as the call holds it, or held it, that opened it last. */
  byId(id: string): PinholeTrace | null;
  of(legId: string): readonly PinholeTrace[];
  /** The capture is over: what already has its last moment is closed then; the rest stays open. */
  settle(): void;
  forget(legId: string): void;
}

/** Who held which pinhole from when to when, and why it ended. */
export function createPinholeTraces(): PinholeTraces {
  const byLeg = new Map<string, PinholeTrace[]>();
  /** By call and pinhole id. */
  const open = new Map<string, PinholeTrace>();
  const openByPort = new Map<string, Set<PinholeTrace>>();
  const closedByPort = new Map<string, PinholeTrace>();
  const latest = new Map<string, PinholeTrace>();

  function take(event: PinholeHappening, place: FramePlace | null, last: FramePlace): void {
    const key = `${event.call.legId} ${event.pinhole.id}`;
    if (event.what === 'opened') {
      opened(key, traceOf(event, place ?? last));
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
    eachPort(record, (portKey) => {
      const set = openByPort.get(portKey);
      set?.delete(record);
      if (set?.size === 0) openByPort.delete(portKey);
      closedByPort.set(portKey, record);
    });
  }

  function opened(key: string, record: PinholeTrace): void {
    open.set(key, record);
    latest.set(record.id, record);
    const own = byLeg.get(record.legId);
    if (own === undefined) byLeg.set(record.legId, [record]);
    else own.push(record);
    eachPort(record, (portKey) => {
      const set = openByPort.get(portKey);
      if (set === undefined) openByPort.set(portKey, new Set([record]));
      else set.add(record);
    });
  }

  function settle(): void {
    for (const record of open.values()) {
      if (record.leaving === null) continue;
      record.closedAt = record.leaving.until;
      record.closeReason = record.leaving.reason;
    }
  }

  function forget(legId: string): void {
    for (const record of byLeg.get(legId) ?? []) {
      open.delete(`${legId} ${record.id}`);
      if (latest.get(record.id) === record) latest.delete(record.id);
      eachPort(record, (portKey) => {
        if (closedByPort.get(portKey) === record) closedByPort.delete(portKey);
        const set = openByPort.get(portKey);
        set?.delete(record);
        if (set?.size === 0) openByPort.delete(portKey);
      });
    }
    byLeg.delete(legId);
  }

  return {
    take,
    openAt: (address, port) => openByPort.get(`${address} ${port}`) ?? [],
    closedAt: (address, port) => closedByPort.get(`${address} ${port}`) ?? null,
    byId: (id) => latest.get(id) ?? null,
    of: (legId) => byLeg.get(legId) ?? [],
    settle,
    forget,
  };
}

/** Written out: V8 keeps a description of its own, of half a kilobyte, for each object of so many spread ones. */
function traceOf(event: PinholeHappening, place: FramePlace): PinholeTrace {
  const { pinhole } = event;
  return {
    id: pinhole.id,
    protocol: pinhole.protocol,
    sources: pinhole.sources,
    sourcePort: pinhole.sourcePort,
    address: pinhole.address,
    ports: pinhole.ports,
    kind: pinhole.kind ?? pinhole.protocol,
    media: pinhole.media,
    legId: event.call.legId,
    slot: event.slot,
    agreed: event.agreed,
    opened: place,
    openedAt: event.at,
    direction: pinhole.direction,
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
  for (let port = ports[0]; port <= ports[1]; port++) action(`${address} ${port}`);
}
