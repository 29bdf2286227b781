/** Which flows the kernel tracks, known without asking for all of them: a closed pinhole's are found by its ports. */
import { closeSync, openSync, readSync } from 'node:fs';
import type { Libc } from '../../../native-bindings/engine.ts';
import { SystemError } from '../../../native-bindings/errno.ts';
import {
  type ConntrackEvents,
  openConntrackEvents,
} from '../../../native-bindings/linux/conntrack-events.ts';
import { walkEntries } from '../../../native-bindings/linux/in-place.ts';
import type { NetlinkSocket } from '../../../native-bindings/linux/netlink.ts';
import { addressBytes } from '../../address/address.ts';
import type { Opening } from '../../pinhole/opening.ts';
import { protocolNumbers } from '../protocols.ts';
import { createFlowTable, type TrackedFlow } from './flow-table.ts';

/**
 * What conntrack tells of flows that come and go, beside a listing of those that there were. While something is missing (too
 * much came at once, there are more than 262,144 flows, the kernel tells nothing) none is known, as for the first seconds. It may not
 * be all: of single flows the kernel tells as little as the ruleset says (`ct event set`, CT --ctevents).
 */
export interface TrackedFlows {
  /** Takes what the kernel has told. To be called every few seconds at least, or it has to leave some out. */
  follow(): void;
  /** Known flows of which a direction goes to a port of these openings; null while none is known. */
  towards(openings: readonly Opening[]): TrackedFlow[] | null;
  close(): void;
}

/** Memory for them is bounded by it: 104 bytes each. */
const MOST = 2 ** 18;
/** ms between two attempts to list them all, and how many times what the last took. */
const AGAIN = 1000;
const REST_TIMES = 20;

/** What the kernel tells of flows that begin from now on: 0 nothing, 1 all, 2 (since Linux 5.19) all while somebody listens. */
const EVENTS = '/proc/sys/net/netfilter/nf_conntrack_events';

/** `clock`: ms of a clock that never runs backwards. `buffer`: bytes for what the kernel tells between two calls. */
export function createTrackedFlows(
  libc: Libc,
  socket: NetlinkSocket,
  clock: () => number = () => performance.now(),
  buffer?: number,
): TrackedFlows {
  const table = createFlowTable();
  const setting = openEventsSetting();
  let events: ConntrackEvents | null = null;
  let areKnown = false;
  let listAt = Number.NEGATIVE_INFINITY;

  function follow(): void {
    if (events === null) return;
    const all = events.read((what, entry) => {
      if (!areKnown) return;
      if (what === 'ended') table.remove(entry);
      else if (table.size() < MOST) table.add(entry);
      else giveUp();
    });
    if (!all || !setting.isOn()) giveUp();
  }

  /** Without an answer of the kernel's, none is known. */
  function attempt(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      giveUp();
    }
  }

  function giveUp(): void {
    areKnown = false;
    table.clear();
  }

  /**
   * Lists all flows, once the kernel has told of new ones for a second: of one that was on its way through the rules as it began
   * to tell, it tells nothing.
   */
  function list(): void {
    const now = clock();
    if (now < listAt) return;
    listAt = now + AGAIN;
    if (!setting.isOn()) return;
    if (events === null) {
      events = openConntrackEvents(libc, buffer);
      return;
    }
    table.clear();
    let fits = true;
    walkEntries(socket, {}, (entry) => {
      fits &&= table.size() < MOST;
      if (fits) table.add(entry);
    });
    areKnown = fits;
    // What ended meanwhile was told of meanwhile.
    follow();
    const done = clock();
    listAt = done + Math.max(AGAIN, REST_TIMES * (done - now));
  }

  return {
    follow: () => attempt(follow),
    towards(openings) {
      attempt(follow);
      if (!areKnown) attempt(list);
      if (!areKnown) return null;
      const places = new Set<number>();
      for (const { protocol, address, ports } of openings) {
        const bytes = addressBytes(address);
        for (let port = ports[0]; port <= ports[1]; port++) {
          for (const place of table.towards(protocolNumbers[protocol], bytes, port)) places.add(place);
        }
      }
      return [...places].map(table.at);
    },
    close() {
      events?.close();
      setting.close();
    },
  };
}

/** What `EVENTS` says, also once the file is out of reach (`daemon.chroot`). It is there once conntrack is at work. */
function openEventsSetting() {
  const answer = Buffer.alloc(1);
  let fd = opened();

  function opened(): number | null {
    try {
      return openSync(EVENTS, 'r');
    } catch {
      return null;
    }
  }

  return {
    /** Whether the kernel tells anything; false also where that cannot be read. */
    isOn(): boolean {
      fd ??= opened();
      try {
        return fd !== null && readSync(fd, answer, 0, 1, 0) === 1 && answer.toString() !== '0';
      } catch {
        return false;
      }
    },
    close(): void {
      if (fd !== null) closeSync(fd);
    },
  };
}
