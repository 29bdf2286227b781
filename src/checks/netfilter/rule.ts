/** Rules of nft(8) and iptables(8), as far as SIP and media are concerned. */

import type { Family } from '../forwarding.ts';

export type Protocol = 'udp' | 'tcp';
export type Ports = readonly (readonly [first: number, last: number])[];

/** What a packet must be for a rule to apply. Null: anything. */
export interface Conditions {
  readonly families: readonly Family[];
  readonly protocols: readonly Protocol[] | null;
  readonly sourcePorts: Ports | null;
  readonly destinationPorts: Ports | null;
  /** One of the two ports is among these (iptables' `multiport --ports`). */
  readonly eitherPorts: Ports | null;
  /** Conntrack states, of which one. */
  readonly states: readonly string[] | null;
  readonly mark: MarkCondition | null;
  /** There are conditions beside these: an interface, an address, a rate. */
  readonly narrowed: boolean;
}

/** `(mark & mask) == value`, or the contrary. */
export interface MarkCondition {
  readonly mask: number;
  readonly value: number;
  readonly negated: boolean;
}

export type Verdict =
  | { readonly type: 'accept' | 'drop' | 'return' }
  | { readonly type: 'jump' | 'goto'; readonly chain: string }
  /** Hands packets to the queues `first` to `last`. */
  | { readonly type: 'queue'; readonly first: number; readonly last: number; readonly bypass: boolean }
  /** Gives the connection to the kernel's helper of this name. */
  | { readonly type: 'helper'; readonly name: string }
  /** Has no effect on where the packet goes. */
  | { readonly type: 'continue' };

export interface Rule extends Conditions {
  readonly verdict: Verdict;
}

export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

export interface Chain {
  /** `inet filter`, or `iptables filter`: chains jump within their table. */
  readonly table: string;
  readonly name: string;
  readonly families: readonly Family[];
  /** Null for a chain that is only jumped to. */
  readonly base: {
    readonly hook: Hook;
    readonly priority: number;
    readonly policy: 'accept' | 'drop';
  } | null;
  readonly rules: readonly Rule[];
}

/** Conditions that every packet of these families meets. */
export function anything(families: readonly Family[]): Conditions {
  return {
    families,
    protocols: null,
    sourcePorts: null,
    destinationPorts: null,
    eitherPorts: null,
    states: null,
    mark: null,
    narrowed: false,
  };
}

/** Whether every packet of these families meets them. */
export function isUnconditional(conditions: Conditions, families: readonly Family[]): boolean {
  const { protocols, sourcePorts, destinationPorts, eitherPorts, states, mark, narrowed } = conditions;
  return (
    !narrowed &&
    [protocols, sourcePorts, destinationPorts, eitherPorts, states, mark].every((one) => one === null) &&
    families.every((family) => conditions.families.includes(family))
  );
}

/** Both at once; null where no packet can meet both. */
export function both(one: Conditions, other: Conditions): Conditions | null {
  const families = one.families.filter((family) => other.families.includes(family));
  const protocols = common(one.protocols, other.protocols);
  const states = common(one.states, other.states);
  const sourcePorts = bothPorts(one.sourcePorts, other.sourcePorts);
  const destinationPorts = bothPorts(one.destinationPorts, other.destinationPorts);
  if ([families, protocols, states, sourcePorts, destinationPorts].some((list) => list?.length === 0)) {
    return null;
  }
  const twice = (name: 'eitherPorts' | 'mark') => one[name] !== null && other[name] !== null;
  return {
    families,
    protocols,
    sourcePorts,
    destinationPorts,
    states,
    eitherPorts: other.eitherPorts ?? one.eitherPorts,
    mark: other.mark ?? one.mark,
    narrowed: one.narrowed || other.narrowed || twice('eitherPorts') || twice('mark'),
  };
}

function common<T>(one: readonly T[] | null, other: readonly T[] | null): readonly T[] | null {
  if (one === null || other === null) return one ?? other;
  return one.filter((item) => other.includes(item));
}

function bothPorts(one: Ports | null, other: Ports | null): Ports | null {
  return one === null || other === null ? (one ?? other) : commonPorts(one, other);
}

/** The ports that are among both. */
export function commonPorts(one: Ports, other: Ports): Ports {
  return one.flatMap(([first, last]) =>
    other.flatMap(([from, to]): Ports => {
      const [low, high] = [Math.max(first, from), Math.min(last, to)];
      return low <= high ? [[low, high]] : [];
    }),
  );
}

/** The ports of `ports` that are not among `others`. */
export function portsLeft(ports: Ports, others: Ports): Ports {
  return others.reduce<Ports>(
    (left, [from, to]) =>
      left.flatMap(([first, last]): Ports => {
        if (to < first || from > last) return [[first, last]];
        const before: Ports = first < from ? [[first, from - 1]] : [];
        return [...before, ...(to < last ? ([[to + 1, last]] as const) : [])];
      }),
    ports,
  );
}

/** Whether a packet with this mark meets the condition. */
export function admits({ mask, value, negated }: MarkCondition, mark: number): boolean {
  return ((mark & mask) >>> 0 === value >>> 0) !== negated;
}
