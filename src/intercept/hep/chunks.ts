/** What HEP version 3 consists of: one table for reading and for writing ("HEP3 Network Protocol Specification", rev. 36). */

/** `HEP3` and the length of the whole, two bytes in network order. */
export const HEAD = 6;
/** Vendor, type and length of a chunk, two bytes each; the length counts them. */
export const CHUNK_HEAD = 6;
/** The most that the length of the whole can say. */
export const LONGEST = 65_535;

export const MAGIC = [0x48, 0x45, 0x50, 0x33] as const;

/** Chunk types of vendor 0. */
export const CHUNK = {
  family: 0x01,
  protocol: 0x02,
  sourceIPv4: 0x03,
  destinationIPv4: 0x04,
  sourceIPv6: 0x05,
  destinationIPv6: 0x06,
  sourcePort: 0x07,
  destinationPort: 0x08,
  seconds: 0x09,
  microseconds: 0x0a,
  kind: 0x0b,
  agent: 0x0c,
  key: 0x0e,
  payload: 0x0f,
  compressedPayload: 0x10,
  correlation: 0x11,
} as const;

/** Values of the chunk `family`: AF_INET and AF_INET6 as Linux numbers them, whatever system the sender runs on. */
export const FAMILY = { 4: 2, 6: 10 } as const;

/** Values of the chunk `kind`. */
export const KIND = { sip: 1, log: 100 } as const;

/** How our own copies name who sends them (chunk `agent`). */
export const AGENT = 2001;

/** IANA protocol numbers; 22 is what some write for TLS (socket type, not IP). */
export const PROTOCOL = { tcp: 6, udp: 17 } as const;

/** Whether a message of HEP version 3 begins here. */
export function isHep3(bytes: Uint8Array): boolean {
  return bytes.length >= HEAD && MAGIC.every((byte, at) => bytes[at] === byte);
}
