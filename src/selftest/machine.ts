import type { Settings } from '../config/schema.ts';
import type { Interface, Plan, RouteTo } from './plan.ts';

/** What a system has to say of itself, and how a copy of it is made. Each throws SelftestError. */
export interface Machine {
  /** Interfaces that are up and have an address, but for the loopback. */
  interfaces(): readonly Interface[];
  readonly routeTo: RouteTo;
  /**
   * Nothing of this machine is changed, and no packet of the copy can leave it. The daemon's own rules, which have the
   * pinholes of the present calls, are left out. Needs root. Throws with nothing left.
   */
  copy(plan: Plan, interfaces: readonly Interface[], settings: Settings): Copy;
  readonly advice: Advice;
}

/** What to do where the rules do not let something pass. */
export interface Advice {
  readonly sip: string;
  readonly media: string;
  /** For what goes back where something came from. */
  readonly answers: string;
  /** For media that inside hosts send before they have got any. */
  readonly out: string;
}

export const LET_OUT =
  'let inside hosts send media (`pinholed rules` has a line for it), or set `outbound: true`';

/** One place with the interfaces, addresses and rules of this machine, and one for each of two hosts. */
export interface Copy {
  /** What was copied, for people. */
  readonly description: string;
  /** The words that run a program there. */
  within(where: Where, ...command: readonly string[]): readonly string[];
  remove(): void;
}

export const WHERE = ['firewall', 'inside', 'outside'] as const;
export type Where = (typeof WHERE)[number];

/** The devices of the hosts. */
export const DEVICE = 'pinholed-test';

/** What a part of the copy is called in this machine. */
export function nameOf(where: Where): string {
  return `pinholed-selftest-${process.pid}-${where}`;
}

/** Where the wire from an interface of the copy ends, and whether a host uses it: one that leads to neither ends outside. */
export function endOf(
  { name }: Interface,
  { inside, outside }: Plan,
): { readonly where: Exclude<Where, 'firewall'>; readonly isUsed: boolean } {
  return {
    where: name === inside.name ? 'inside' : 'outside',
    isUsed: name === inside.name || name === outside.name,
  };
}
