import type { Address } from '../address/address.ts';
import type { CloseReason } from '../call/wanted.ts';
import type { Held, HolderEvent } from '../pinhole/table.ts';
import type { FramePlace, PinholeReport } from './call-report.ts';

/** A pinhole of one call, from its opening on. */
export interface PinholeTrace extends PinholeReport {
  readonly id: string;
  /** Hash of the call leg that holds it. */
  readonly call: string;
  /** Which stream of which side it is for, as in Wanted. */
  readonly slot: string;
  /** As the inspector's table has it; null once it is closed. */
  held: Held | null;
  closed: FramePlace | null;
  closedAt: number | null;
  closeReason: CloseReason | null;
  packets: number;
  /** Why it is to be closed when its last moment comes, as of the latest message. */
  leaving: CloseReason | null;
}

export interface PinholeTraces {
  /** Takes what happened at `place`; null when a deadline did it, `last` being the frame before. */
  take(event: HolderEvent, place: FramePlace | null, last: FramePlace): void;
  /** The message at `place` may have given pinholes of this call a last moment: it is then their end's cause. */
  caused(call: string, place: FramePlace): void;
  /** Those open now that lead to this UDP port. */
  openAt(address: Address, port: number): Iterable<PinholeTrace>;
  /** The one closed last that led to this UDP port. */
  closedAt(address: Address, port: number): PinholeTrace | null;
  /** The pinhole with this id as the call holds it, or held it, that opened it last. */
  byId(id: string): PinholeTrace | null;
  of(call: string): readonly PinholeTrace[];
  /** The capture is over: what already has its last moment is closed then; the rest stays open. */
  settle(): void;
  forget(call: string): void;
}

/** Who held which pinhole from when to when, and why it ended. */
export function createPinholeTraces(): PinholeTraces {
  const byCall = new Map<string, PinholeTrace[]>();
  /** By call and pinhole id. */
  const open = new Map<string, PinholeTrace>();
  const openByPort = new Map<string, Set<PinholeTrace>>();
  const closedByPort = new Map<string, PinholeTrace>();
  const latest = new Map<string, PinholeTrace>();

  function take(
    { type, holder, held, reason, at }: HolderEvent,
    place: FramePlace | null,
    last: FramePlace,
  ): void {
    const key = `${holder} ${held.pinhole.id}`;
    if (type === 'opened') {
      const { id, protocol, sources, sourcePort, address, ports, kind, media } = held.pinhole;
      const record: PinholeTrace = {
        ...{ id, protocol, sources, sourcePort, address, ports, kind: kind ?? protocol, media },
        ...{ call: holder, slot: held.slot, held, opened: place ?? last, openedAt: at },
        ...{ closed: null, closedAt: null, closeReason: null, packets: 0, leaving: null },
      };
      open.set(key, record);
      latest.set(id, record);
      const own = byCall.get(holder);
      if (own === undefined) byCall.set(holder, [record]);
      else own.push(record);
      eachPort(record, (portKey) => {
        const set = openByPort.get(portKey);
        if (set === undefined) openByPort.set(portKey, new Set([record]));
        else set.add(record);
      });
      return;
    }
    const record = open.get(key);
    if (record === undefined) return;
    open.delete(key);
    record.closed ??= place;
    record.closedAt = at;
    record.closeReason = reason;
    record.held = null;
    eachPort(record, (portKey) => {
      const set = openByPort.get(portKey);
      set?.delete(record);
      if (set?.size === 0) openByPort.delete(portKey);
      closedByPort.set(portKey, record);
    });
  }

  function caused(call: string, place: FramePlace): void {
    for (const record of byCall.get(call) ?? []) {
      if (record.held === null) continue;
      const leaving = isLeaving(record.held) ? record.held.reason : null;
      if (leaving !== record.leaving) record.closed = leaving === null ? null : place;
      record.leaving = leaving;
    }
  }

  function settle(): void {
    for (const record of open.values()) {
      if (record.held === null || !isLeaving(record.held)) continue;
      record.closedAt = record.held.until;
      record.closeReason = record.held.reason;
    }
  }

  function forget(call: string): void {
    for (const record of byCall.get(call) ?? []) {
      open.delete(`${call} ${record.id}`);
      if (latest.get(record.id) === record) latest.delete(record.id);
      eachPort(record, (portKey) => {
        if (closedByPort.get(portKey) === record) closedByPort.delete(portKey);
        const set = openByPort.get(portKey);
        set?.delete(record);
        if (set?.size === 0) openByPort.delete(portKey);
      });
    }
    byCall.delete(call);
  }

  return {
    take,
    caused,
    openAt: (address, port) => openByPort.get(`${address} ${port}`) ?? [],
    closedAt: (address, port) => closedByPort.get(`${address} ${port}`) ?? null,
    byId: (id) => latest.get(id) ?? null,
    of: (call) => byCall.get(call) ?? [],
    settle,
    forget,
  };
}

/** No longer wanted, and only lingering. A candidate on trial is wanted still. */
function isLeaving({ until, reason }: Held): boolean {
  return until !== Number.POSITIVE_INFINITY && reason !== 'unused-candidate';
}

function eachPort({ protocol, address, ports }: PinholeTrace, action: (key: string) => void): void {
  if (protocol !== 'udp') return;
  for (let port = ports[0]; port <= ports[1]; port++) action(`${address} ${port}`);
}
