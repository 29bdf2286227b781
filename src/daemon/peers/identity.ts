import type { Member, Store } from './store.ts';

/** Sees to it that no two firewalls write as one: of a machine that was cloned the second goes on alone, and says why. */
interface Identity {
  /** Before anything is written. Throws where another firewall is there as this machine. */
  claim(): Promise<void>;
  /** While this one is there. Throws where another has come as this machine. */
  keep(): Promise<void>;
}

/**
 * What was there as this machine before is another firewall where it was booted apart, unless it has been silent for as long
 * as one counts as there. Within one boot it is an earlier start of this daemon, unless that has shown itself again since.
 */
export function createIdentity(store: Pick<Store, 'member'>, self: Member): Identity {
  let wasTaken = false;

  async function other(): Promise<Member | null> {
    const there = await store.member(self.machine);
    return there === null || there.start === self.start ? null : there;
  }

  return {
    async claim() {
      const there = await other();
      if (there === null) return;
      const isBootedApart = there.boot !== null && self.boot !== null && there.boot !== self.boot;
      if (isBootedApart || wasTaken) throw doubled(there);
    },
    async keep() {
      const there = await other();
      if (there === null) return;
      wasTaken = true;
      throw doubled(there);
    },
  };
}

function doubled({ name, machine }: Member): Error {
  return new Error(
    `another firewall is there as ${name} (${machine}), a clone of this one: give each a peers-store.name of its own`,
  );
}
