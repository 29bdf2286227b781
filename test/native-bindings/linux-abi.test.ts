import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { linuxErrno } from '../../native-bindings/errno.ts';
import { filterInstruction } from '../../native-bindings/filter-program.ts';
import { inetLayouts } from '../../native-bindings/inet-socket.ts';
import * as constants from '../../native-bindings/linux/constants.ts';
import * as netlink from '../../native-bindings/linux/netlink.ts';
import * as nflog from '../../native-bindings/linux/nflog.ts';
import * as nfqueue from '../../native-bindings/linux/nfqueue.ts';
import * as packets from '../../native-bindings/linux/packet-socket.ts';
import * as privileges from '../../native-bindings/linux/privileges.ts';
import * as routes from '../../native-bindings/linux/routes.ts';
import * as slice from '../../native-bindings/linux/slice.ts';
import { messageLayouts } from '../../native-bindings/message-batch.ts';
import { evaluate, withoutCompiler } from './compiler.ts';

const headers = [
  'stdio.h',
  'stddef.h',
  'errno.h',
  'poll.h',
  'sched.h',
  'sys/socket.h',
  'sys/prctl.h',
  'sys/syscall.h',
  'netinet/in.h',
  'net/if_arp.h',
  'linux/filter.h',
  'linux/if_packet.h',
  'linux/netlink.h',
  'linux/rtnetlink.h',
  'linux/capability.h',
  'linux/netfilter.h',
  'linux/netfilter/nfnetlink.h',
  'linux/netfilter/nfnetlink_queue.h',
  'linux/netfilter/nfnetlink_log.h',
  'linux/netfilter/nfnetlink_conntrack.h',
  'linux/netfilter/nf_tables.h',
];

/** Not in the headers of Debian 12 yet; linux/netfilter/nf_tables.h of Linux 6.9. */
const newer: Readonly<Record<string, number>> = { NFT_TABLE_F_PERSIST: 4 };

/** Cannot be read beside sched.h. */
const schedulerHeaders = ['stdio.h', 'stddef.h', 'linux/sched/types.h'];

const structs = [
  netlink.sockaddrNl,
  netlink.nlmsghdr,
  netlink.nfgenmsg,
  netlink.nlmsgerr,
  nfqueue.packetHeader,
  nfqueue.verdictHeader,
  nfqueue.configCommand,
  nfqueue.configParams,
  nflog.logCommand,
  nflog.logMode,
  routes.ifinfomsg,
  routes.rtmsg,
  routes.rtnexthop,
  privileges.capHeader,
  privileges.capData,
  privileges.ucred,
  messageLayouts.linux.msghdr,
  messageLayouts.linux.iovec,
  ...inetLayouts.linux.structs,
  packets.sockaddrLl,
  filterInstruction,
  packets.sockFprog,
];

interface Layout {
  readonly name: string;
  readonly size: number;
  readonly members: Readonly<
    Record<string, { readonly offset: number; readonly field: { readonly size: number } }>
  >;
}

/** Sizes and offsets, as C expressions, and what we have for them. */
function layoutsOf(tables: readonly Layout[]) {
  const expected: [string, number][] = [];
  for (const { name, size, members } of tables) {
    // Those of linux/capability.h are typedefs to pointers; the struct's own name is what sizeof takes.
    expected.push([`sizeof(struct ${name})`, size]);
    for (const [member, { offset, field }] of Object.entries(members)) {
      expected.push([`offsetof(struct ${name}, ${member})`, offset]);
      expected.push([`sizeof(((struct ${name} *)0)->${member})`, field.size]);
    }
  }
  return expected;
}

describe('Linux ABI, as the C compiler sees it', { skip: withoutCompiler }, () => {
  it('every constant', () => {
    const table: Record<string, number> = { ...constants, ...inetLayouts.linux.numbers };
    const names = Object.keys(table).filter((name) => !(name in newer));
    // NLA_TYPE_MASK is the complement of an int where 16 bits of it are meant.
    const values = evaluate(
      headers,
      names.map((name) => (name === 'NLA_TYPE_MASK' ? `(${name}) & 0xffff` : name)),
    );
    assert.ok(names.length > 100);
    names.forEach((name, index) => {
      assert.equal(table[name], values[index], name);
    });
    for (const [name, value] of Object.entries(newer)) assert.equal(table[name], value, name);
  });

  it('every number of a system call', () => {
    const table = slice.SYSTEM_CALLS[process.arch as keyof typeof slice.SYSTEM_CALLS];
    assert.deepEqual(Object.values(table), evaluate(headers, Object.keys(table)));
  });

  it('every errno', () => {
    const names = Object.keys(linuxErrno);
    const values = evaluate(headers, names);
    names.forEach((name, index) => {
      assert.equal(linuxErrno[name], values[index], name);
    });
  });

  it('every struct', () => {
    const expected = layoutsOf(structs);
    const { size, lengthAt } = messageLayouts.linux.mmsghdr;
    expected.push(['sizeof(struct mmsghdr)', size], ['offsetof(struct mmsghdr, msg_len)', lengthAt]);
    const values = evaluate(
      headers,
      expected.map(([expression]) => expression),
    );
    expected.forEach(([expression, value], index) => {
      assert.equal(value, values[index], expression);
    });
  });

  it('the struct of the scheduler, as it was first', () => {
    const [[sizeOfAll], ...members] = layoutsOf([slice.schedAttr]) as [
      [string, number],
      ...[string, number][],
    ];
    const values = evaluate(schedulerHeaders, [sizeOfAll, ...members.map(([expression]) => expression)]);
    assert.ok(slice.schedAttr.size <= values[0]!, 'members came after those that we know');
    members.forEach(([expression, value], index) => {
      assert.equal(value, values[index + 1], expression);
    });
  });
});
