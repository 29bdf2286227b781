/** What another thread or process does with a socket of its own: nothing that a packet waits for, and no element is changed. */
import type { Libc } from '../../../native-bindings/engine.ts';
import { type NetlinkSocket, openNetlink } from '../../../native-bindings/linux/netlink.ts';
import { hasElement } from '../../../native-bindings/linux/nftables.ts';
import type { Flow } from '../../pinhole/opening.ts';
import { guarded, persist } from '../attempt.ts';
import { createTrackedFlows } from '../conntrack/tracked-flows.ts';
import { deleteFlows, deleteUntranslated } from '../conntrack.ts';
import { deviationOf } from '../deviation.ts';
import { type FirewallControl, NOT_COUNTED, type Retired, type Retirement } from '../firewall.ts';
import { READS, readLines, wantedLines } from './contents.ts';
import { createCountReader } from './counts.ts';
import { elementOf } from './elements.ts';

/**
 * `table` is of family inet. Needs CAP_NET_ADMIN, then and for every call. Throws FirewallError. `clock`: ms of a clock that
 * never runs backwards.
 */
export function openNftablesControl(libc: Libc, table: string, clock?: () => number): FirewallControl {
  const socket = guarded(() => openNetlink(libc));
  const flows = createTrackedFlows(libc, socket, clock);
  const readCounts = createCountReader(socket, table);

  /** Walks the whole of conntrack, but for what is to be done quickly and can. */
  function retire({ closed = [], quickly = false, opened = [], uncounted = [] }: Retirement): Retired {
    const mayPass = (flow: Flow) => isOpen(socket, table, flow);
    let states = 0;
    if (opened.length > 0) states += deleteUntranslated(socket, opened);
    const known = quickly && closed.length > 0 ? flows.towards(closed) : null;
    if (closed.length > 0) states += deleteFlows(socket, closed, mayPass, known);
    if (uncounted.length > 0) states += deleteFlows(socket, uncounted, () => false);
    return { states, counts: NOT_COUNTED, isPartial: known !== null };
  }

  return {
    traffic: () =>
      guarded(() => {
        flows.follow();
        return { counts: readCounts(), uncounted: [] };
      }),
    compare: (intended) =>
      guarded(() => {
        const held = persist(() => readLines(socket, table), READS);
        return deviationOf(held, wantedLines(intended));
      }),
    retire: (what) => guarded(() => retire(what)),
    close() {
      flows.close();
      socket.close();
    },
  };
}

/** Whether any pinhole lets these packets pass, asked of the kernel. */
function isOpen(socket: NetlinkSocket, table: string, flow: Flow): boolean {
  return [
    { ...flow, sourcePort: null },
    { ...flow, source: null, sourcePort: null },
    flow,
    { ...flow, source: null },
  ].some((match) => {
    const { set, key } = elementOf(match);
    return hasElement(socket, table, set, key);
  });
}
