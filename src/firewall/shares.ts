/**
 * Pinholes as what a packet filter holds for them: rules of pf, elements of nftables' sets and maps. Each such atom is in
 * the filter once, however many pinholes have it in common: the first to have it adds it, the last removes it.
 */
import type { Change } from '../pinhole/change.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { FirewallError } from './firewall.ts';

/** A pinhole with its atoms, as they were when it was opened. */
export interface PinholeAtoms<Atom> {
  readonly pinhole: Pinhole;
  readonly atoms: readonly Atom[];
}

/** What a change asks of the filter. */
interface Plan<Atom> {
  readonly added: readonly Atom[];
  readonly removed: readonly Atom[];
  /** The pinholes that close, of those that are open, with what they had. */
  readonly closed: readonly PinholeAtoms<Atom>[];
  /** The filter has done it. Until then nothing is remembered of it. */
  done(): void;
}

interface Shares<Atom> {
  /** Throws FirewallError EEXIST for a pinhole that is open. One that is not open is closed already. */
  plan(change: Change): Plan<Atom>;
  /** What there is from now on, as the filter's own listing tells; of several with the same id the first. */
  adopt(holdings: Iterable<PinholeAtoms<Atom>>): void;
  /** Every open pinhole, in the order of opening. */
  holdings(): PinholeAtoms<Atom>[];
  /** The same without their atoms. */
  pinholes(): Pinhole[];
  /** Whether any open pinhole has the atom of this name. */
  isHeld(name: string): boolean;
}

interface SharesOptions {
  /** A pinhole's atoms are the same whenever they are asked for: they are worked out again rather than kept. */
  readonly isFixed: boolean;
}

/** `nameOf`: equal atoms have equal names. */
export function createShares<Atom>(
  atomsOf: (pinhole: Pinhole) => readonly Atom[],
  nameOf: (atom: Atom) => string,
  { isFixed }: SharesOptions = { isFixed: false },
): Shares<Atom> {
  const open = new Map<string, Pinhole>();
  /** By id of an open pinhole, where its atoms may be others by now. */
  const kept = new Map<string, readonly Atom[]>();
  /** By name of an atom, how many open pinholes have it. */
  const holders = new Map<string, number>();

  function remember({ pinhole, atoms }: PinholeAtoms<Atom>): void {
    open.set(pinhole.id, pinhole);
    if (!isFixed) kept.set(pinhole.id, atoms);
  }

  function heldBy(pinhole: Pinhole): readonly Atom[] {
    return kept.get(pinhole.id) ?? atomsOf(pinhole);
  }

  function plan({ open: opening, close: closing }: Change): Plan<Atom> {
    const opened: PinholeAtoms<Atom>[] = [];
    const touched = new Map<string, { readonly atom: Atom; change: number }>();
    const touch = (atom: Atom, by: 1 | -1) => {
      const name = nameOf(atom);
      const known = touched.get(name);
      if (known === undefined) touched.set(name, { atom, change: by });
      else known.change += by;
    };
    for (const pinhole of opening) {
      if (open.has(pinhole.id)) throw new FirewallError(`pinhole is open already: ${pinhole.id}`, 'EEXIST');
      const atoms = atomsOf(pinhole);
      opened.push({ pinhole, atoms });
      for (const atom of atoms) touch(atom, 1);
    }
    const closed: PinholeAtoms<Atom>[] = [];
    for (const { id } of closing) {
      const pinhole = open.get(id);
      if (pinhole === undefined) continue;
      const atoms = heldBy(pinhole);
      closed.push({ pinhole, atoms });
      for (const atom of atoms) touch(atom, -1);
    }
    const added: Atom[] = [];
    const removed: Atom[] = [];
    for (const [name, { atom, change }] of touched) {
      const before = holders.get(name) ?? 0;
      if (before === 0 && change > 0) added.push(atom);
      else if (before > 0 && before + change === 0) removed.push(atom);
    }
    return {
      added,
      removed,
      closed,
      done() {
        for (const { pinhole } of closed) forget(pinhole.id);
        for (const one of opened) remember(one);
        for (const [name, { change }] of touched) count(name, change);
      },
    };
  }

  function forget(id: string): void {
    open.delete(id);
    kept.delete(id);
  }

  function count(name: string, change: number): void {
    const number = (holders.get(name) ?? 0) + change;
    if (number === 0) holders.delete(name);
    else holders.set(name, number);
  }

  return {
    plan,
    adopt(holdings) {
      const all = [...holdings];
      open.clear();
      kept.clear();
      holders.clear();
      for (const one of all) {
        if (open.has(one.pinhole.id)) continue;
        remember(one);
        for (const atom of one.atoms) count(nameOf(atom), 1);
      }
    },
    holdings: () => Array.from(open.values(), (pinhole) => ({ pinhole, atoms: heldBy(pinhole) })),
    pinholes: () => [...open.values()],
    isHeld: (name) => holders.has(name),
  };
}
