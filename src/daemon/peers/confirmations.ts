/** Which messages wait for other firewalls, and what other firewalls wait for here. */
interface Confirmations {
  /** A message, or whoever asks, waits under this name until so many others have confirmed it. */
  await(wait: string, needed: number, settle: () => void): void;
  /** `machine` has confirmed these. */
  settle(waits: readonly string[], machine: string): void;
  /** Others wait for what the order with this ticket brings to the data path. */
  owe(waits: string, ticket: number): void;
  /** The data path has done everything up to this ticket. */
  done(ticket: number): void;
  /** What can be confirmed to others now. */
  due(): readonly string[];
}

/** Waits that are kept track of; the oldest have long been given up. */
const MOST = 2048;

export function createConfirmations(): Confirmations {
  const awaited = new Map<
    string,
    { readonly by: Set<string>; readonly needed: number; readonly settle: () => void }
  >();
  const owed: { readonly ticket: number; readonly waits: string }[] = [];
  let reached = 0;
  return {
    await(wait, needed, settle) {
      awaited.set(wait, { by: new Set(), needed, settle });
      if (awaited.size > MOST) awaited.delete(awaited.keys().next().value!);
    },
    settle(waits, machine) {
      for (const wait of waits) {
        const one = awaited.get(wait);
        if (one === undefined || one.by.add(machine).size < one.needed) continue;
        awaited.delete(wait);
        one.settle();
      }
    },
    owe(waits, ticket) {
      owed.push({ ticket, waits });
      if (owed.length > MOST) owed.shift();
    },
    done(ticket) {
      reached = ticket;
    },
    due() {
      const first = owed.findIndex(({ ticket }) => ticket > reached);
      return owed.splice(0, first < 0 ? owed.length : first).map(({ waits }) => waits);
    },
  };
}
