/** Addresses and first ports of the parties of a call. */
interface Ends {
  readonly parties: readonly [string, string];
  readonly ports: readonly [number, number] | null;
}

/** A message by its ends. */
interface Line {
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly summary: string;
}

/**
 * What tells the hosts of a call apart: their addresses; where caller and callee are one host, its ports as well.
 */
export function hostOf({ parties, ports }: Ends): (address: string, port: number) => string {
  const isOneHost = parties[0] === parties[1] && ports !== null && ports[0] !== ports[1];
  return (address, port) => (isOneHost && address === parties[0] ? `${address}:${port}` : address);
}

/** The hosts that a call's messages went through: the caller first, the callee last, strangers to both after it. */
export function hopsOf(call: Ends & { readonly messages: readonly Line[] }): string[] {
  const host = hostOf(call);
  const caller = host(call.parties[0], call.ports?.[0] ?? 0);
  const callee = host(call.parties[1], call.ports?.[1] ?? 0);
  const between = new Set<string>();
  const beside = new Set<string>();
  for (const { source, sourcePort, destination, destinationPort, summary } of call.messages) {
    const from = host(source, sourcePort);
    const to = host(destination, destinationPort);
    const isInvite = summary === 'INVITE';
    for (const one of [from, to]) {
      if (one === caller || one === callee) continue;
      if (isInvite) between.add(one);
      else beside.add(one);
    }
  }
  return [...new Set([caller, ...between, callee, ...beside])];
}
