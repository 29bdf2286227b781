/** The protocols that media comes by, as packet filters on Linux number them: IPPROTO_ (RFC 790). */

export const protocolNumbers = { tcp: 6, udp: 17 } as const;

/** Null for any other. */
export function protocolName(number: number): 'tcp' | 'udp' | null {
  return number === protocolNumbers.udp ? 'udp' : number === protocolNumbers.tcp ? 'tcp' : null;
}
