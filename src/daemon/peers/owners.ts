import { isDirectionName } from '../journal/records.ts';
import type { Member, Store } from './store.ts';
import type { Versions } from './versions.ts';

/** Calls under way that one firewall wrote last. */
export interface Owned {
  /** Its name; its number where it was never heard of. */
  readonly name: string;
  readonly calls: number;
}

/** Calls under way that this firewall, and others, wrote last. */
interface Standing {
  readonly own: number;
  readonly others: number;
  /** Of each firewall that has some or is there. */
  readonly owners: readonly Owned[];
}

/** Whose calls are: the firewall's that wrote the last version of each. */
export interface Owners {
  /** Says that this firewall is there, and who else is; where two have one name, others with their numbers. */
  greet(): Promise<readonly Member[]>;
  /** Another one that was heard of has the same name. */
  isNamesake(machine: string): boolean;
  /** The name of the firewall that had to do with this call last; null where none is known. */
  ownerOf(legId: string): string | null;
  standing(members: readonly Member[]): Standing;
}

/** Names of firewalls that are gone are known as long as these many. */
const MOST_NAMES = 256;

export function createOwners(
  store: Pick<Store, 'greet'>,
  versions: Pick<Versions, 'underWay' | 'writerOf'>,
  self: Member,
): Owners {
  const names = new Map([[self.machine, self.name]]);

  function isNamesake(machine: string): boolean {
    const name = names.get(machine);
    return [...names].some(([one, its]) => one !== machine && its === name);
  }

  function nameOf(machine: string): string {
    const name = names.get(machine);
    if (name === undefined) return machine;
    return machine !== self.machine && isNamesake(machine) ? `${name} (${machine})` : name;
  }

  return {
    isNamesake,
    async greet() {
      const members = await store.greet(self);
      for (const { machine, name } of members) {
        if (names.size < MOST_NAMES || names.has(machine)) names.set(machine, name);
      }
      return members.map((one) => ({ ...one, name: nameOf(one.machine) }));
    },
    ownerOf(legId) {
      const machine = versions.writerOf(legId);
      return machine === null ? null : nameOf(machine);
    },
    standing(members) {
      const counts = new Map([self, ...members].map(({ machine }) => [machine, 0]));
      let all = 0;
      for (const [name, machine] of versions.underWay()) {
        if (isDirectionName(name)) continue;
        counts.set(machine, (counts.get(machine) ?? 0) + 1);
        all++;
      }
      const own = counts.get(self.machine)!;
      const owners = [...counts].map(([machine, calls]) => ({ name: nameOf(machine), calls }));
      return { own, others: all - own, owners };
    },
  };
}
