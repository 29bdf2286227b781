/** Conntrack entries as they come and go, told by the kernel (ctnetlink's multicast groups). */
import type { Libc } from '../engine.ts';
import { messageBatch } from '../message-batch.ts';
import {
  IPCTNL_MSG_CT_DELETE,
  IPCTNL_MSG_CT_NEW,
  NETLINK_ADD_MEMBERSHIP,
  NFNL_SUBSYS_CTNETLINK,
  NFNLGRP_CONNTRACK_DESTROY,
  NFNLGRP_CONNTRACK_NEW,
  SOL_NETLINK,
} from './constants.ts';
import { type EntryInPlace, entryReader } from './in-place.ts';
import { forEachMessage, openNetlink, setOption } from './netlink.ts';

export interface ConntrackEvents {
  /**
   * Visits the entries that began and those that ended since the last call, in the order of that; what `visit` is given holds
   * until it returns. False when the kernel could not tell of some, or tells of more than can be taken.
   */
  read(visit: (what: 'begun' | 'ended', entry: EntryInPlace) => void): boolean;
  close(): void;
}

/** Room for what comes between two calls: 26,000 events on Linux 6.18. */
const BUFFER = 16 * 1024 * 1024;
const AT_ONCE = 64;
/** An event of an entry takes some 300 bytes. */
const LONGEST = 2048;
const MOST_BATCHES = 4096;

/**
 * Has the kernel tell of entries. Of one that began before, it does not tell how it ends, unless net.netfilter.nf_conntrack_events
 * was 1; where that is 0 it tells nothing. Needs CAP_NET_ADMIN. Throws SystemError. `buffer`: bytes.
 */
export function openConntrackEvents(libc: Libc, buffer = BUFFER): ConntrackEvents {
  const socket = openNetlink(libc, buffer);
  const batch = messageBatch(libc, AT_ONCE, LONGEST, 0);
  const entryOf = entryReader();
  for (const group of [NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_DESTROY]) {
    if (!setOption(libc, socket.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group)) {
      const error = libc.error('setsockopt', 'NETLINK_ADD_MEMBERSHIP');
      socket.close();
      throw error;
    }
  }

  return {
    read(visit) {
      let isWhole = true;
      for (let batches = 0; batches < MOST_BATCHES; batches++) {
        const count = batch.receive(socket.fd);
        if (count < 0) {
          const code = libc.failure();
          if (code === 'EAGAIN') return isWhole;
          if (code === 'ENOBUFS') isWhole = false;
          else if (code !== 'EINTR') throw libc.error('recvmmsg', 'conntrack events');
          continue;
        }
        for (let index = 0; index < count; index++) {
          forEachMessage(batch.message(index), (message) => {
            const what = whatOf(message.type);
            const entry = what === null ? null : entryOf(message);
            if (entry !== null) visit(what!, entry);
          });
        }
      }
      return false;
    },
    close: socket.close,
  };
}

function whatOf(type: number): 'begun' | 'ended' | null {
  if (type >> 8 !== NFNL_SUBSYS_CTNETLINK) return null;
  const message = type & 0xff;
  return message === IPCTNL_MSG_CT_NEW ? 'begun' : message === IPCTNL_MSG_CT_DELETE ? 'ended' : null;
}
