/**
 * A packet that a check asks a ruleset about: what would become of it? Rules have conditions that nobody can answer from
 * outside (a table's addresses, a rate, an interface that is not known); such a rule is met by some of the packets that the
 * probe stands for, and nothing is called wrong that may be right.
 */
import { isCovered, type Network, networksOverlap } from '../address/network.ts';
import { includesPort } from '../address/ports.ts';
import type { Family } from './forwarding.ts';

export type Certainty = 'yes' | 'no' | 'maybe';
export type Ports = readonly (readonly [first: number, last: number])[];
export type Protocol = 'udp' | 'tcp';

export interface Probe {
  readonly family: Family;
  readonly protocol: Protocol;
  /** The networks that it may come from, and go to; null: any address but those of `inside`. */
  readonly from: readonly Network[] | null;
  readonly to: readonly Network[] | null;
  readonly inside: readonly Network[];
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Names of interfaces; null: not known. */
  readonly comesBy: string | null;
  readonly goesBy: string | null;
  readonly state: 'new' | 'established';
  readonly mark: number;
  /** Its source address has its place behind another interface than the one it came in by. */
  readonly forged: boolean;
}

/** A condition of a rule. */
export type Test = (probe: Probe) => Certainty;

/** A port that no rule has a reason to name. */
const SOME_PORT = 40_021;

/** A new packet from anywhere to anywhere. */
export function probeOf(probe: Partial<Probe> & Pick<Probe, 'family'>): Probe {
  return {
    protocol: 'udp',
    from: null,
    to: null,
    inside: [],
    sourcePort: SOME_PORT,
    destinationPort: SOME_PORT,
    comesBy: null,
    goesBy: null,
    state: 'new',
    mark: 0,
    forged: false,
    ...probe,
  };
}

export function allOf(tests: readonly Test[], probe: Probe): Certainty {
  let answer: Certainty = 'yes';
  for (const test of tests) {
    const one = test(probe);
    if (one === 'no') return 'no';
    if (one === 'maybe') answer = 'maybe';
  }
  return answer;
}

export function whether(condition: boolean): Certainty {
  return condition ? 'yes' : 'no';
}

export function not(answer: Certainty): Certainty {
  return answer === 'yes' ? 'no' : answer === 'no' ? 'yes' : 'maybe';
}

export const maybe: Test = () => 'maybe';

export function isFamily(...families: readonly Family[]): Test {
  return ({ family }) => whether(families.includes(family));
}

export function isProtocol(...protocols: readonly Protocol[]): Test {
  return ({ protocol }) => whether(protocols.includes(protocol));
}

export function hasPort(side: 'sourcePort' | 'destinationPort', ports: Ports): Test {
  return (probe) => whether(includesPort(ports, probe[side]));
}

/** Whether the probe's addresses at this end are among these networks. */
export function isWithin(end: 'from' | 'to', networks: readonly Network[]): Test {
  return ({ family, inside, [end]: given }) => {
    const own = networks.filter((one) => one.family === family);
    if (given === null) {
      if (own.some(({ prefix }) => prefix === 0)) return 'yes';
      return own.every((one) => isCovered(one, inside)) ? 'no' : 'maybe';
    }
    if (given.every((one) => isCovered(one, own))) return 'yes';
    return given.some((one) => own.some((other) => networksOverlap(other, one))) ? 'maybe' : 'no';
  };
}

/** Whether it passes the interface of this name, or one whose name begins so (`lan*`). */
export function passesBy(end: 'comesBy' | 'goesBy', names: readonly string[]): Test {
  return ({ [end]: given }) => {
    if (given === null) return names.every((name) => name === 'lo') ? 'no' : 'maybe';
    return whether(
      names.some((name) => (name.endsWith('*') ? given.startsWith(name.slice(0, -1)) : name === given)),
    );
  };
}
