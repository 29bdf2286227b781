import type { Owners } from './owners.ts';
import type { Member } from './store.ts';

/** Who of a group is there, this firewall included. */
interface Company {
  readonly members: readonly Member[];
  others(): readonly Member[];
  /** These are there now. Whether anybody has come or gone. `isTold`: who has come is said. */
  meet(found: readonly Member[], isTold: boolean): boolean;
  /** Nobody is known to be there. */
  clear(): void;
}

export function createCompany(
  self: Member,
  { isNamesake }: Pick<Owners, 'isNamesake'>,
  say: (level: 'warn' | 'info', text: string) => void,
): Company {
  let members: readonly Member[] = [];
  const isOther = ({ machine }: Member) => machine !== self.machine;

  function tellOf({ machine, name }: Member, isTold: boolean): void {
    if (isTold) say('info', `peers-store: ${name} is there`);
    if (!isNamesake(machine)) return;
    say(
      'warn',
      `peers-store: ${name} is not the only one of its name: give each a peers-store.name of its own`,
    );
  }

  return {
    get members() {
      return members;
    },
    others: () => members.filter(isOther),
    meet(found, isTold) {
      const came = missing(found, members);
      const left = missing(members, found);
      members = found;
      for (const one of came.filter(isOther)) tellOf(one, isTold);
      for (const { name } of left) say('warn', `peers-store: ${name} is gone; its calls are kept here`);
      return came.length + left.length > 0;
    },
    clear() {
      members = [];
    },
  };
}

/** Those of `list` that `than` has not. */
function missing(list: readonly Member[], than: readonly Member[]): readonly Member[] {
  return list.filter(({ machine }) => than.every((one) => one.machine !== machine));
}
