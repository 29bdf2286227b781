import { at, be16, bytes, cstring, struct, u8, u16 } from '../struct.ts';

/** struct sockaddr_in (netinet/in.h), as bind(2) takes it. */
export const sockaddrIn = struct('sockaddr_in', 16, {
  sin_len: at(0, u8),
  sin_family: at(1, u8),
  sin_port: at(2, be16),
  sin_addr: at(4, bytes(4)),
  sin_zero: at(8, bytes(8)),
});

/**
 * The same sixteen bytes as a divert(4) socket fills them for a packet that pf diverted. `sin_port` is not a
 * port but pf's cookie, in host order: the direction, PF_IN or PF_OUT. `sin_addr` is the first IPv4 address of
 * the interface the packet came in through, 0.0.0.0 when it was on its way out or the interface has none.
 * `sin_zero` is that interface's name, cut after seven characters.
 */
export const divertAddress = struct('sockaddr_in', 16, {
  sin_len: at(0, u8),
  sin_family: at(1, u8),
  sin_port: at(2, u16),
  sin_addr: at(4, bytes(4)),
  sin_zero: at(8, cstring(8)),
});
