import type { CallEvent } from './daemon.ts';

/** One call as the daemon's log tells it. */
export interface CallRow {
  readonly callId: string;
  readonly name: string;
  /** Pinholes open from this time on: `[ms, count]`, in order. */
  readonly history: readonly (readonly [at: number, open: number])[];
  readonly open: number;
  /** Why the last pinhole closed; null while one is open. */
  readonly closed: string | null;
}

export interface Calls {
  take(event: CallEvent): void;
  readonly rows: readonly CallRow[];
  /** Pinholes that are open now, of all calls. */
  readonly open: number;
  readonly opened: number;
  readonly closed: number;
  /** `ADDRESS PORT` of everything that was ever open. */
  readonly targets: ReadonlySet<string>;
}

export interface CallsOptions {
  /** ms since the start. */
  readonly clock: () => number;
  /** The kind of call, by its Call-ID. */
  readonly nameOf: (callId: string) => string;
  /** A transport address is open to somebody now, or to nobody any more. */
  readonly onTarget: (open: boolean, address: string, port: number) => void;
}

/** Keeps count of calls and of what is open. */
export function createCalls({ clock, nameOf, onTarget }: CallsOptions): Calls {
  const rows = new Map<string, CallRow & { readonly ids: ReadonlySet<string> }>();
  const holders = new Map<string, number>();
  const targets = new Set<string>();
  const totals = { opened: 0, closed: 0 };

  function hold(address: string, port: number, change: 1 | -1): void {
    const key = `${address} ${port}`;
    const count = (holders.get(key) ?? 0) + change;
    if (count > 0) holders.set(key, count);
    else holders.delete(key);
    targets.add(key);
    if (count === (change === 1 ? 1 : 0)) onTarget(change === 1, address, port);
  }

  return {
    take({ event, callId, reason, pinholes }) {
      if (event !== 'opened' && event !== 'closed') return;
      const row = rows.get(callId);
      const ids = new Set(row?.ids);
      for (const { id, address, ports } of pinholes) {
        if (event === 'opened') ids.add(id);
        else ids.delete(id);
        totals[event]++;
        for (let port = ports[0]; port <= ports[1]; port++) hold(address, port, event === 'opened' ? 1 : -1);
      }
      rows.set(callId, {
        callId,
        name: nameOf(callId),
        history: [...(row?.history ?? []), [clock(), ids.size]],
        open: ids.size,
        closed: ids.size === 0 ? reason : null,
        ids,
      });
    },
    get rows() {
      return [...rows.values()];
    },
    get open() {
      return [...rows.values()].reduce((sum, { open }) => sum + open, 0);
    },
    get opened() {
      return totals.opened;
    },
    get closed() {
      return totals.closed;
    },
    targets,
  };
}
