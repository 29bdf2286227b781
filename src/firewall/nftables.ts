/**
 * Pinholes in nftables: a table of our own whose chains set mark bits on packets that match a pinhole. The
 * administrator's ruleset accepts the mark; nothing here accepts or drops for good.
 */
import type { Libc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import { NFT_TABLE_F_OWNER, NFT_TABLE_F_PERSIST } from '../../native-bindings/linux/constants.ts';
import { openNetlink } from '../../native-bindings/linux/netlink.ts';
import { nftBatch, readTable, type SetElement } from '../../native-bindings/linux/nftables.ts';
import type { Change } from '../pinhole/change.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { guarded, persist } from './attempt.ts';
import { deleteFlows } from './conntrack.ts';
import { type Firewall, type LastCounts, NOT_COUNTED, type Traffic } from './firewall.ts';
import {
  type Contents,
  countOf,
  READS,
  readContents,
  recordKeys,
  recordOf,
  sumOf,
} from './nftables/contents.ts';
import { type Element, elementName, isSetName } from './nftables/element.ts';
import { elementOf, elementsOf, strangerOf } from './nftables/elements.ts';
import { addTable, addTranslation, RECORDS } from './nftables/table.ts';
import { translationsOf } from './nftables/translations.ts';
import { createShares, type PinholeAtoms } from './shares.ts';

interface NftablesOptions {
  /** Name of the table, of family inet. */
  readonly table: string;
  /** Bits set in the mark of packets that match. */
  readonly mark: number;
}

export interface NftablesFirewall extends Firewall {
  /** Whether the kernel keeps everybody else from changing the table (Linux 6.9). */
  readonly owned: boolean;
}

/** The line of text that tells of a pinhole. */
interface Line {
  readonly number: number;
  /** Elements that it takes. */
  readonly parts: number;
}

interface NewRecord {
  /** Of the pinhole. */
  readonly id: string;
  readonly number: number;
  readonly elements: readonly SetElement[];
}

/**
 * The kernel tells how many packets each deleted element had counted, at most so many of one commit: what it tells
 * has to fit into the socket's buffer, 4 KiB an element before Linux 5.10.
 */
const MOST_TOLD = 256;

/**
 * Opens the table, making it where it is not there yet; elements that are there stay, for `list` to show them.
 * Needs CAP_NET_ADMIN, then and for every call. Throws FirewallError.
 *
 * A pinhole is one element of a hash for each of its sources and ports, so that neither a lookup nor a commit
 * costs more where there are many, and as many elements of maps where it brings its own translation. An element that
 * several pinholes have in common is there once. A commit is one netlink transaction: the kernel makes all of it at one
 * moment, or nothing.
 */
export function openNftables(libc: Libc, { table, mark }: NftablesOptions): NftablesFirewall {
  const socket = guarded(() => openNetlink(libc));
  const batch = nftBatch(socket);
  const shares = createShares(allElementsOf, ({ name }) => name, { isFixed: true });
  /** By pinhole id. One that nobody asked for has none. */
  const lines = new Map<string, Line>();
  /** Records and elements of maps that belong to no pinhole, by set, to be removed with the next commit. */
  let rubbish: ReadonlyMap<string, readonly SetElement[]> = new Map();
  /** Whether the maps and chains that translate are there and as they should be: made for the first that needs them. */
  let translating = false;
  const numbers = new Set<number>();
  let lastNumber = 0;
  let owner = true;
  let handle: bigint | null = null;

  /** Makes what is missing of the table, and its rules anew, in one transaction. */
  function install(): void {
    try {
      make();
    } catch (error) {
      if (!owner || !(error instanceof SystemError) || error.code !== 'EOPNOTSUPP') throw error;
      owner = false;
      make();
    }
    handle = readTable(socket, table)?.handle ?? null;
    translating = false;
  }

  function make(): void {
    addTable(batch, table, owner ? NFT_TABLE_F_OWNER | NFT_TABLE_F_PERSIST : 0, mark);
    batch.commit();
  }

  function commit(change: Change): LastCounts {
    const { added, removed, closed, done } = shares.plan(change);
    const opened = change.open.map(newRecord);
    const translates = !translating && added.some(({ data }) => data !== undefined);
    if (translates) addTranslation(batch, table);
    for (const [set, elements] of rubbish) batch.deleteElements(table, set, elements);
    const left = new Map<string, Traffic>();
    // First, for what one host leaves of a map another may take in the same change.
    for (const [set, elements] of bySet(removed)) {
      batch.deleteElements(table, set, elements, removed.length <= MOST_TOLD);
    }
    batch.deleteElements(
      table,
      RECORDS,
      change.close.flatMap(({ id }) => recordKeysOf(id)),
    );
    for (const [set, elements] of bySet(added)) batch.addElements(table, set, elements);
    for (const { elements } of opened) batch.addElements(table, RECORDS, elements);
    guarded(() => batch.commit((set, { key, traffic }) => left.set(nameIn(set, key), countOf(traffic))));
    rubbish = new Map();
    translating ||= translates;
    done();
    for (const { id } of change.close) forget(id);
    for (const { id, number, elements } of opened) remember(id, { number, parts: elements.length });
    return left.size === 0 ? NOT_COUNTED : lastCounts(closed, left);
  }

  function newRecord(pinhole: Pinhole): NewRecord {
    do lastNumber = (lastNumber + 1) >>> 0;
    while (numbers.has(lastNumber));
    return { id: pinhole.id, number: lastNumber, elements: recordOf(pinhole, lastNumber) };
  }

  function recordKeysOf(id: string): readonly SetElement[] {
    const line = lines.get(id);
    return line === undefined ? [] : recordKeys(line.number, line.parts);
  }

  function remember(id: string, line: Line): void {
    lines.set(id, line);
    numbers.add(line.number);
  }

  function forget(id: string): void {
    const line = lines.get(id);
    if (line === undefined) return;
    lines.delete(id);
    numbers.delete(line.number);
  }

  function list(): Pinhole[] {
    return guarded(() => {
      install();
      return adopt(persist(() => readContents(socket, table), READS));
    });
  }

  /** Takes the kernel's contents for what is open. An element without a record becomes a pinhole of its own. */
  function adopt({ elements, records, translations }: Contents): Pinhole[] {
    lines.clear();
    numbers.clear();
    const whole: PinholeAtoms<Element>[] = [];
    const orphans: SetElement[] = [];
    for (const { number, pinhole, parts } of records) {
      lastNumber = Math.max(lastNumber, number);
      const atoms = pinhole === null ? [] : allElementsOf(pinhole);
      const isThere = atoms.every(({ name }) => elements.has(name) || translations.has(name));
      if (pinhole === null || lines.has(pinhole.id) || !isThere) {
        orphans.push(...parts);
        continue;
      }
      remember(pinhole.id, { number, parts: parts.length });
      whole.push({ pinhole, atoms });
    }
    const spoken = new Set(whole.flatMap(({ atoms }) => atoms.map(({ name }) => name)));
    const strangers = [...elements].flatMap(([name, match]): PinholeAtoms<Element>[] =>
      spoken.has(name) ? [] : [{ pinhole: strangerOf(match), atoms: [elementOf(match)] }],
    );
    shares.adopt([...whole, ...strangers]);
    const litter = new Map<string, SetElement[]>(orphans.length === 0 ? [] : [[RECORDS, orphans]]);
    for (const [name, { set, element }] of translations) {
      if (!spoken.has(name)) litter.set(set, [...(litter.get(set) ?? []), element]);
    }
    rubbish = litter;
    return shares.pinholes();
  }

  function clear(): void {
    const pinholes = list();
    guarded(() => {
      batch.deleteTable(table);
      batch.commit();
      adopt({ elements: new Map(), records: [], translations: new Map() });
      translating = false;
      deleteFlows(socket, pinholes, () => false);
    });
  }

  guarded(install);
  return {
    commit,
    list,
    // Whether the table is still the one that was made: one question to the kernel.
    intact: () => guarded(() => handle !== null && readTable(socket, table)?.handle === handle),
    clear,
    close: socket.close,
    get owned() {
      return owner;
    },
  };
}

/** Everything that a pinhole has in the kernel but its record. */
function allElementsOf(pinhole: Pinhole): Element[] {
  return [...elementsOf(pinhole), ...translationsOf(pinhole)];
}

function bySet(elements: readonly Element[]): Map<Element['set'], Element[]> {
  const sets = new Map<Element['set'], Element[]>();
  for (const element of elements) {
    const others = sets.get(element.set);
    if (others === undefined) sets.set(element.set, [element]);
    else others.push(element);
  }
  return sets;
}

/** The name of an element that the kernel tells of; of one of a map, which does not count, what nothing is called. */
function nameIn(set: string, key: Buffer): string {
  return isSetName(set) ? elementName(set, key) : '';
}

/** Of pinholes all of whose elements were deleted: an element that stays counts on, for whoever has it still. */
function lastCounts(
  closed: readonly PinholeAtoms<Element>[],
  left: ReadonlyMap<string, Traffic>,
): LastCounts {
  const counts = new Map<string, Traffic>();
  for (const { pinhole, atoms } of closed) {
    const own = atoms.filter(({ set }) => isSetName(set)).map(({ name }) => left.get(name));
    if (own.every((one) => one !== undefined)) counts.set(pinhole.id, sumOf(own));
  }
  return counts;
}
