/** FreeBSD's constants, by their C names: the same on amd64 and arm64, and from 14 to 15 where not said otherwise. */

// sys/socket.h
export const AF_INET = 2;
export const AF_INET6 = 28;
/** Domain of divert(4) sockets, FreeBSD 14 and later. */
export const PF_DIVERT = 44;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0x10000000;
export const SOCK_NONBLOCK = 0x20000000;
export const SOL_SOCKET = 0xffff;
export const SO_SNDBUF = 0x1001;
export const SO_RCVBUF = 0x1002;
/** A receive queue that overflowed makes the next receive fail once with ENOBUFS. FreeBSD 14 and later. */
export const SO_RERROR = 0x20000;
export const MSG_TRUNC = 0x10;
export const MSG_DONTWAIT = 0x80;
export const MSG_WAITFORONE = 0x80000;

// sys/socket.h, sys/sysctl.h, net/route.h
export const CTL_NET = 4;
export const PF_ROUTE = 17;
export const NET_RT_DUMP = 1;
export const RTF_GATEWAY = 0x2;
export const RTF_HOST = 0x4;
export const RTF_REJECT = 0x8;
export const RTF_BLACKHOLE = 0x1000;
export const RTA_DST = 1;
export const RTA_NETMASK = 4;

// netinet/in.h, netinet/ip.h, netinet/tcp.h
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const TH_SYN = 0x02;
export const TH_ACK = 0x10;
/** Protocol of the older raw divert socket (`socket(PF_INET, SOCK_RAW, IPPROTO_DIVERT)`). */
export const IPPROTO_DIVERT = 258;
export const IP_MAXPACKET = 65535;

// fcntl.h, poll.h
export const O_RDWR = 2;
export const O_CLOEXEC = 0x100000;
export const POLLIN = 1;
export const POLLERR = 8;
export const POLLHUP = 16;
export const POLLNVAL = 32;

// net/pfvar.h, netpfil/pf/pf.h
export const MAXPATHLEN = 1024;
export const IFNAMSIZ = 16;
export const PF_ANCHOR_NAME_SIZE = 64;
export const PF_RULE_LABEL_SIZE = 64;
export const PF_TAG_NAME_SIZE = 64;
export const PF_TABLE_NAME_SIZE = 32;
export const PF_QNAME_SIZE = 64;

export const PF_INOUT = 0;
export const PF_IN = 1;
export const PF_OUT = 2;

export const PF_PASS = 0;
export const PF_DROP = 1;
export const PF_SCRUB = 2;
export const PF_NAT = 4;
export const PF_BINAT = 6;
export const PF_RDR = 8;

export const PF_RULESET_SCRUB = 0;
export const PF_RULESET_FILTER = 1;
export const PF_RULESET_NAT = 2;
export const PF_RULESET_BINAT = 3;
export const PF_RULESET_RDR = 4;

/** A rule's `rt`: packets, or answers to them, go to the rule's pool address, by its interface. */
export const PF_ROUTETO = 2;
export const PF_REPLYTO = 4;

export const PF_OP_NONE = 0;
/** `a >< b`, both ends excluded. */
export const PF_OP_IRG = 1;
export const PF_OP_EQ = 2;
export const PF_OP_NE = 3;
export const PF_OP_LT = 4;
export const PF_OP_LE = 5;
export const PF_OP_GT = 6;
export const PF_OP_GE = 7;
/** `a <> b`: outside of both. */
export const PF_OP_XRG = 8;
/** `a:b`, both ends included. */
export const PF_OP_RRG = 9;

export const PF_CHANGE_ADD_HEAD = 1;
export const PF_CHANGE_ADD_TAIL = 2;
export const PF_CHANGE_ADD_BEFORE = 3;
export const PF_CHANGE_ADD_AFTER = 4;
export const PF_CHANGE_REMOVE = 5;
export const PF_CHANGE_GET_TICKET = 6;

export const PFTM_UDP_FIRST_PACKET = 6;
export const PFTM_UDP_SINGLE = 7;
export const PFTM_UDP_MULTIPLE = 8;
/** How many timeouts a struct pf_rule carries; the kernel's own count is larger. */
export const PFTM_OLD_MAX = 20;

export const PF_LIMIT_STATES = 0;
/** FreeBSD 15. */
export const PF_LIMIT_ANCHORS = 4;

export const PF_ADDR_ADDRMASK = 0;
export const PF_ADDR_DYNIFTL = 2;
export const PF_ADDR_TABLE = 3;
/** `from urpf-failed` */
export const PF_ADDR_URPFFAILED = 4;

export const PF_STATE_NORMAL = 1;
export const PF_LOG = 1;
export const PF_LOG_ALL = 2;
/** `keep state (no-sync)`: pfsync(4) is told nothing of it. */
export const PFRULE_NOSYNC = 0x10;
export const PFRULE_IFBOUND = 0x10000;
export const PFRULE_STATESLOPPY = 0x20000;

/** Bit of the status' `reass`: pf puts fragments together (`set reassemble yes`). */
export const PF_REASS_ENABLED = 1;
