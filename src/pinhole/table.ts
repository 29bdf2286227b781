import type { CloseReason, Departure, Wanted } from '../call/wanted.ts';
import { appended, extended, without } from '../lists.ts';
import type { Change } from './change.ts';
import { createClaims, type TakenPort } from './claims.ts';
import { contains, type Opening } from './opening.ts';
import type { Pinhole } from './pinhole.ts';

/** A pinhole that a call wants, as policy made it. */
export interface WantedPinhole {
  readonly pinhole: Pinhole;
  readonly wanted: Wanted;
}

/** A pinhole as one call holds it. Times are in ms. */
export interface Held {
  readonly pinhole: Pinhole;
  readonly slot: string;
  readonly openedAt: number;
  readonly candidate: boolean;
  /** The other party has answered for it; an offer's pinhole becomes agreed in place when nothing else changes. */
  agreed: boolean;
  /** Last media seen, null when there was none yet. */
  trafficAt: number | null;
  /** When it closes; Infinity while it is wanted. */
  until: number;
  reason: CloseReason | null;
}

type IdleSlots = ReadonlyMap<string, 'stream-disabled' | 'bundled'>;

/** What happened to a pinhole of one leg. Plain data; times in ms. */
export interface HolderEvent {
  /** `changed`: it is agreed now, is going to close, or is wanted again. */
  readonly what: 'opened' | 'changed' | 'closed';
  readonly pinhole: Pinhole;
  readonly slot: string;
  readonly openedAt: number;
  readonly agreed: boolean;
  /** When it closes, or closed; Infinity while it is wanted. */
  readonly until: number;
  /** Why it closed, or is going to; null while it is wanted. */
  readonly reason: CloseReason | null;
  readonly at: number;
}

export interface TableResult {
  /** Null when the firewall has nothing to do. */
  readonly change: Change | null;
  readonly events: readonly HolderEvent[];
  /** Ports of external addresses that nobody has any more, named as in `TakenPort`. */
  readonly freed: readonly string[];
}

/** Who holds a pinhole, and what of it. */
interface Holding {
  readonly legId: string;
  /** As the first that held it has it. */
  readonly pinhole: Pinhole;
  readonly held: Held;
}

export interface PinholeTable {
  /**
   * What the leg wants from now on; what it held and no longer wants leaves as `departure` says. `idleSlots` are
   * streams that have no transport of their own any more: disabled ones close at once.
   */
  replace(
    legId: string,
    entries: readonly WantedPinhole[],
    idleSlots: IdleSlots,
    departure: Departure,
    now: number,
  ): TableResult;
  /** Closes what is due. */
  expire(legId: string, now: number): TableResult;
  /** Takes up what a leg had, from a journal. */
  adopt(legId: string, held: readonly Held[]): void;
  /** What a leg has from now on, as another firewall says; the rest closes at once for this reason. */
  become(legId: string, held: readonly Held[], reason: CloseReason, now: number): TableResult;
  /** Media was seen in this pinhole. Returns who holds it, until the next change. */
  traffic(id: string, now: number): readonly Holding[];
  /** Who holds this pinhole, until the next change. */
  holdings(id: string): readonly Holding[];
  deadline(legId: string): number;
  /** The port of an external address that the opening would need and another host has; null where it has all. */
  taken(opening: Opening): TakenPort | null;
  held(legId: string): readonly Held[];
  /** Every open pinhole, once each. */
  open(): Iterable<Pinhole>;
  readonly size: number;
}

/** The events of one leg, and what they mean for the firewall. */
interface Work {
  readonly legId: string;
  /** Another list with each change: as long as it has to be, and who was given the one before has it as it was. */
  held: readonly Held[];
  readonly now: number;
  opened: Pinhole[] | null;
  closed: Pinhole[] | null;
  freed: readonly string[];
  events: HolderEvent[] | null;
}

const NOTHING: TableResult = { change: null, events: [], freed: [] };
const NONE_HELD: readonly Held[] = [];
const NO_HOLDINGS: readonly Holding[] = [];
const NO_PINHOLES: readonly Pinhole[] = [];
const NO_PLACES: readonly string[] = [];

interface TableSettings {
  /** How long, in ms, an ICE candidate may stay without traffic once it is agreed. */
  readonly unusedAfter: number;
  /** Pinholes of one leg, those that are leaving included. */
  readonly most: number;
}

/**
 * Every open pinhole with the calls that hold it. Two calls may hold the same one (a B2BUA's legs, forks): the
 * firewall hears only of the first to come and the last to go.
 */
export function createPinholeTable(settings: () => TableSettings): PinholeTable {
  const holders = new Map<string, readonly Held[]>();
  const rules = new Map<string, { readonly pinhole: Pinhole; readonly holdings: Holding[] }>();
  const claims = createClaims();
  /** Candidates that were closed for want of traffic; they stay closed as long as they are wanted. */
  const retired = new Map<string, Set<string>>();

  function replace(
    legId: string,
    entries: readonly WantedPinhole[],
    idleSlots: IdleSlots,
    departure: Departure,
    now: number,
  ): TableResult {
    const before = holders.get(legId) ?? NONE_HELD;
    const work = newWork(legId, before, now);
    const gone = retired.get(legId);
    // What leaves already leaves as it was to, but never later than a call that is over.
    const isOver = entries.length === 0 && !WITHIN_CALL.has(departure.reason);
    if (gone !== undefined) for (const id of gone) if (!isWanted(entries, id)) gone.delete(id);
    for (const entry of entries) {
      const same = find(work.held, entry.pinhole.id);
      if (same === undefined) {
        if (!gone?.has(entry.pinhole.id)) open(work, entry);
      } else {
        const { agreed, reason } = same;
        same.agreed ||= entry.wanted.agreed;
        if (reason !== 'unused-candidate') keep(same, now);
        if (same.agreed !== agreed || same.reason !== reason) tellChanged(work, same);
      }
    }
    for (const one of before) {
      if (isWanted(entries, one.pinhole.id)) continue;
      const successors = successorsOf(one, entries);
      const { reason, linger } = leave(one, successors, idleSlots.get(one.slot), departure);
      const isLeaving = one.until !== Number.POSITIVE_INFINITY && one.reason !== 'unused-candidate';
      if (isLeaving && (!isOver || one.until <= now + linger)) continue;
      if (linger > 0) {
        one.until = now + linger;
        one.reason = reason;
        tellChanged(work, one);
      } else {
        close(work, one, reason);
      }
    }
    if (entries.length === 0) retired.delete(legId);
    shed(work);
    return resultOf(work);
  }

  /**
   * A party that moves its media again and again leaves a trail of pinholes that would each stay for a while: over
   * the bound those that are to go first go now.
   */
  function shed(work: Work): void {
    const { held } = work;
    const surplus = held.length - settings().most;
    if (surplus <= 0) return;
    const leaving = held.filter((one) => one.reason !== null && one.reason !== 'unused-candidate');
    leaving.sort((a, b) => a.until - b.until);
    for (const one of leaving.slice(0, surplus)) close(work, one, one.reason!);
  }

  function expire(legId: string, now: number): TableResult {
    const before = holders.get(legId);
    if (before === undefined) return NOTHING;
    const work = newWork(legId, before, now);
    for (const one of before) {
      if (now < one.until) continue;
      if (one.reason === 'unused-candidate') retire(legId, one.pinhole.id);
      close(work, one, one.reason ?? 'moved', one.until);
    }
    return resultOf(work);
  }

  /** A pinhole is wanted (again): an agreed candidate for a while on trial, everything else without end. */
  function keep(one: Held, now: number): void {
    const onTrial = one.candidate && one.agreed && one.trafficAt === null;
    one.until = onTrial ? now + settings().unusedAfter : Number.POSITIVE_INFINITY;
    one.reason = onTrial ? 'unused-candidate' : null;
  }

  function retire(legId: string, id: string): void {
    const gone = retired.get(legId);
    if (gone === undefined) retired.set(legId, new Set([id]));
    else gone.add(id);
  }

  function open(work: Work, { pinhole, wanted }: WantedPinhole): void {
    const one: Held = {
      pinhole,
      slot: wanted.slot,
      openedAt: work.now,
      candidate: wanted.candidate,
      agreed: wanted.agreed,
      trafficAt: null,
      until: Number.POSITIVE_INFINITY,
      reason: null,
    };
    keep(one, work.now);
    add(work, one);
  }

  /** As it is, with the rule that there is already. */
  function add(work: Work, one: Held): void {
    const rule = rules.get(one.pinhole.id);
    if (rule === undefined) work.opened = appended(work.opened, one.pinhole);
    const own = rule === undefined ? one : { ...one, pinhole: rule.pinhole };
    hold(work.legId, own);
    work.held = extended(work.held, own);
    tellOf(work, 'opened', own, own.until, own.reason, work.now);
  }

  /** Notes that the leg holds it. */
  function hold(legId: string, held: Held): void {
    const { pinhole } = held;
    const rule = rules.get(pinhole.id);
    if (rule !== undefined) {
      rule.holdings.push({ legId, pinhole: rule.pinhole, held });
      return;
    }
    rules.set(pinhole.id, { pinhole, holdings: [{ legId, pinhole, held }] });
    claims.add(pinhole);
  }

  function close(work: Work, one: Held, reason: CloseReason, at = work.now): void {
    work.held = without(work.held, one);
    tellOf(work, 'closed', one, at, reason, at);
    const rule = rules.get(one.pinhole.id)!;
    const { holdings: all } = rule;
    if (all.length > 1) {
      all.splice(
        all.findIndex(({ legId }) => legId === work.legId),
        1,
      );
      return;
    }
    rules.delete(one.pinhole.id);
    const freed = claims.remove(rule.pinhole);
    if (freed.length > 0) work.freed = [...work.freed, ...freed];
    work.closed = appended(work.closed, rule.pinhole);
  }

  function resultOf({ legId, held, opened, closed, freed, events }: Work): TableResult {
    if (events === null) return NOTHING;
    if (held.length > 0) holders.set(legId, held);
    else holders.delete(legId);
    const isChange = opened !== null || closed !== null;
    const change = isChange ? { open: opened ?? NO_PINHOLES, close: closed ?? NO_PINHOLES } : null;
    return { change, events, freed };
  }

  function traffic(id: string, now: number): readonly Holding[] {
    const all = holdings(id);
    for (const { legId, held: one } of all) {
      const first = one.trafficAt === null;
      one.trafficAt = now;
      if (one.reason === 'unused-candidate') pass(one);
      if (!first || one.until !== Number.POSITIVE_INFINITY) continue;
      for (const old of holders.get(legId)!) {
        if (old.slot === one.slot && old.reason === 'moved') old.until = now;
      }
    }
    return all;
  }

  function holdings(id: string): readonly Holding[] {
    return rules.get(id)?.holdings ?? NO_HOLDINGS;
  }

  function adopt(legId: string, held: readonly Held[]): void {
    if (held.length === 0) return;
    holders.set(legId, [...held]);
    for (const one of held) hold(legId, one);
  }

  function become(legId: string, target: readonly Held[], reason: CloseReason, now: number): TableResult {
    const before = holders.get(legId) ?? NONE_HELD;
    const work = newWork(legId, before, now);
    for (const theirs of target) {
      const own = find(work.held, theirs.pinhole.id);
      if (theirs.trafficAt !== null) retired.get(legId)?.delete(theirs.pinhole.id);
      if (own === undefined) {
        if (!retired.get(legId)?.has(theirs.pinhole.id)) add(work, { ...theirs });
        continue;
      }
      const { agreed, reason: was } = own;
      own.agreed = theirs.agreed;
      own.until = theirs.until;
      own.reason = theirs.reason;
      own.trafficAt = latest(own.trafficAt, theirs.trafficAt);
      if (own.reason === 'unused-candidate' && own.trafficAt !== null) pass(own);
      if (own.agreed !== agreed || own.reason !== was) tellChanged(work, own);
    }
    for (const one of before) {
      if (find(target, one.pinhole.id) === undefined) close(work, one, one.reason ?? reason);
    }
    if (target.length === 0) retired.delete(legId);
    return resultOf(work);
  }

  function deadline(legId: string): number {
    let at = Number.POSITIVE_INFINITY;
    for (const { until } of holders.get(legId) ?? NONE_HELD) if (until < at) at = until;
    return at;
  }

  function* pinholes(): Iterable<Pinhole> {
    for (const rule of rules.values()) yield rule.pinhole;
  }

  return {
    replace,
    expire,
    adopt,
    become,
    traffic,
    holdings,
    deadline,
    taken: claims.taken,
    held: (legId) => holders.get(legId) ?? NONE_HELD,
    open: pinholes,
    get size() {
      return rules.size;
    },
  };
}

/** A candidate on trial has had its media. */
function pass(one: Held): void {
  one.until = Number.POSITIVE_INFINITY;
  one.reason = null;
}

function latest(one: number | null, other: number | null): number | null {
  if (one === null || other === null) return one ?? other;
  return Math.max(one, other);
}

function newWork(legId: string, held: readonly Held[], now: number): Work {
  return { legId, held, now, opened: null, closed: null, freed: NO_PLACES, events: null };
}

function tellChanged(work: Work, one: Held): void {
  tellOf(work, 'changed', one, one.until, one.reason, work.now);
}

function tellOf(
  work: Work,
  what: HolderEvent['what'],
  { pinhole, slot, openedAt, agreed }: Held,
  until: number,
  reason: CloseReason | null,
  at: number,
): void {
  const event: HolderEvent = { what, pinhole, slot, openedAt, agreed, until, reason, at };
  work.events = appended(work.events, event);
}

function find(held: readonly Held[], id: string): Held | undefined {
  for (const one of held) if (one.pinhole.id === id) return one;
  return undefined;
}

function isWanted(entries: readonly WantedPinhole[], id: string): boolean {
  for (const { pinhole } of entries) if (pinhole.id === id) return true;
  return false;
}

function successorsOf({ slot }: Held, entries: readonly WantedPinhole[]): readonly WantedPinhole[] {
  return entries.length === 0 ? entries : entries.filter(({ wanted }) => wanted.slot === slot);
}

/** Reasons for which pinholes leave while their call goes on. */
const WITHIN_CALL: ReadonlySet<CloseReason> = new Set<CloseReason>([
  'answered',
  'moved',
  'offer-refused',
  'losing-fork',
  'unused-candidate',
  'new-attempt',
  'external-changed',
]);

/** How one pinhole leaves, given what takes the place of its stream. */
function leave(
  one: Held,
  successors: readonly WantedPinhole[],
  idle: CloseReason | undefined,
  departure: Departure,
): { reason: CloseReason; linger: number } {
  const { reason, movedLinger, goneLinger, muxLinger } = departure;
  if (reason !== 'moved' && reason !== 'answered') {
    return { reason, linger: successors.length === 0 ? goneLinger : movedLinger };
  }
  if (idle === 'stream-disabled') return { reason: idle, linger: 0 };
  if (successors.length === 0)
    return { reason: idle ?? 'moved', linger: idle === undefined ? movedLinger : goneLinger };
  const contained = successors.some(({ pinhole }) => contains(pinhole, one.pinhole));
  if (contained && one.agreed) return { reason: 'replaced', linger: 0 };
  if (contained || (!one.agreed && keepsPorts(one.pinhole, successors)))
    return { reason: 'answered', linger: 0 };
  if (!one.agreed) return { reason: 'rtcp-mux', linger: muxLinger };
  return { reason: 'moved', linger: departure.movedLinger };
}

/** Whether every port of the pinhole stays open to somebody. */
function keepsPorts({ address, ports }: Pinhole, successors: readonly WantedPinhole[]): boolean {
  for (let port = ports[0]; port <= ports[1]; port++) {
    const stays = successors.some(
      ({ pinhole }) => pinhole.address === address && pinhole.ports[0] <= port && port <= pinhole.ports[1],
    );
    if (!stays) return false;
  }
  return true;
}
