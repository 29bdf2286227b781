import type { Address } from '../address/address.ts';
import { portRange } from '../address/ports.ts';
import { type Call, otherSide } from '../call/call.ts';
import { isRefusal, type Refusal, type RefusalReason } from '../call/refusal.ts';
import { type StreamSettings, type WantedStreams, wantedStreams } from '../call/streams.ts';
import { type CloseReason, type Departure, ownerOf, type Wanted } from '../call/wanted.ts';
import { appended } from '../lists.ts';
import { type Claims, createClaims, type TakenPort } from '../pinhole/claims.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import {
  createPinholeTable,
  type Held,
  type HolderEvent,
  type PinholeTable,
  type TableResult,
  type WantedPinhole,
} from '../pinhole/table.ts';
import type { Policy } from '../policy/policy.ts';
import { type CallName, nameOf, type PinholeHappening } from './happening.ts';
import { introduce, tell, type Work } from './inspection.ts';
import type { Refusals } from './refusals.ts';
import { derived, type InspectorSettings, mediaSettings } from './settings.ts';
import type { StaticPeers } from './static-peers.ts';
import { staticWanted } from './static-wanted.ts';
import { createWaitingList } from './waiting.ts';

/** Which pinholes calls hold. What is opened, closed and refused goes into the work at hand. Times are in ms. */
export interface Opener {
  /**
   * Works out afresh what the call wants at `at`; what it held and no longer wants leaves as `departure` says. Calls that
   * waited for what is free now are to be decided once more.
   */
  update(work: Work, call: Call, departure: Departure, at: number): void;
  /** Closes what of this call is due at `at`. */
  expire(work: Work, call: Call, at: number): void;
  /** Closes all that the call holds, whatever it wants. */
  close(work: Work, call: Call, departure: Departure): void;
  /** The call waits for no port any more. */
  leaveQueue(call: Call): void;
  /** Takes up what a call held, from a journal, as far as it may be open by the present settings. */
  adopt(work: Work, call: Call, held: readonly Held[]): void;
  /** The call has what another firewall says, as far as the present settings let it; the rest closes for this reason. */
  share(work: Work, call: Call, held: readonly Held[], reason: CloseReason): void;
  /** When `expire` is due next; Infinity never. */
  deadline(call: Call): number;
  /** Media was seen in this pinhole. Returns who holds it, and for which stream. */
  readonly traffic: PinholeTable['traffic'];
  readonly holdings: PinholeTable['holdings'];
  /** Of the leg with this id. */
  held(legId: string): readonly Held[];
  /** Every open pinhole, once each. */
  pinholes(): Iterable<Pinhole>;
  readonly size: number;
}

const NO_ENTRIES: readonly WantedPinhole[] = [];
const NO_SLOTS: ReadonlyMap<string, 'stream-disabled' | 'bundled'> = new Map();

export function createOpener(
  settings: () => InspectorSettings,
  policy: () => Policy,
  staticPeers: Pick<StaticPeers, 'entryOf'>,
  refusals: Refusals,
): Opener {
  const table = createPinholeTable(() => ({
    unusedAfter: settings().timers.iceUnused,
    most: settings().caps.pinholesPerCall,
  }));
  /** Calls that were refused a port of an external address, until it is free. */
  const queue = createWaitingList<Call>();

  /** Whether the settings let anybody send to some port. */
  const isAnyMeant = derived(settings, (general) =>
    [general, ...general.peers].some(
      ({ earlyMediaSource, mediaSource }) => earlyMediaSource === 'any' || mediaSource === 'any',
    ),
  );

  function settingsWith(peer: Address): StreamSettings {
    return mediaSettings(settings(), policy().peerOf(peer));
  }

  function update(work: Work, call: Call, departure: Departure, at: number): void {
    const { wanted, idleSlots, unusable } = wantedOf(call);
    for (const refusal of unusable) refusals.tell(work, call, refusal, at);
    queue.leave(call);
    const entries = entriesOf(work, call, wanted, at);
    take(work, call, table.replace(call.legId, entries, idleSlots, departure, at));
  }

  function wantedOf(call: Call): WantedStreams {
    if (call.standing === null) return wantedStreams(call, settingsWith);
    const entry = staticPeers.entryOf(call);
    const wanted = entry === null ? [] : staticWanted(call, entry, policy().reachedAt);
    return { wanted, idleSlots: NO_SLOTS, unusable: [] };
  }

  /** The pinholes for what is wanted, those that policy, another host's port or the cap refuses left out. */
  function entriesOf(
    work: Work,
    call: Call,
    wanted: readonly Wanted[],
    at: number,
  ): readonly WantedPinhole[] {
    const { decide } = policy();
    const most = settings().caps.pinholesPerCall;
    let entries: WantedPinhole[] | null = null;
    /** Ports of external addresses that the entries before have: few calls need one. */
    let claimed: Claims | null = null;

    function add(one: Wanted, pinhole: Pinhole | Refusal): void {
      if (isRefusal(pinhole)) {
        refusals.tell(work, call, pinhole, at, one);
        return;
      }
      const taken = table.taken(pinhole) ?? claimed?.taken(pinhole) ?? null;
      if (taken !== null) {
        queue.wait(call, taken.place);
        refusals.tell(work, call, portTaken(taken), at, one);
      } else if ((entries?.length ?? 0) < most) {
        entries = appended(entries, { pinhole, wanted: one });
        if (pinhole.translation !== null) {
          claimed ??= createClaims();
          claimed.add(pinhole);
        }
      } else {
        const detail = `more than ${most} pinholes`;
        refusals.tell(work, call, { reason: 'too-many-streams', detail }, at, one);
      }
    }

    for (const one of wanted) {
      const pinhole = decide(one, call.legId);
      const halves = isRefusal(pinhole) && OF_PORTS.has(pinhole.reason) ? halvesOf(one) : null;
      const rtp = halves === null ? pinhole : decide(halves[0], call.legId);
      if (halves === null || isRefusal(rtp)) {
        add(one, pinhole);
      } else {
        add(halves[0], rtp);
        add(halves[1], decide(halves[1], call.legId));
      }
    }
    return entries ?? NO_ENTRIES;
  }

  function adopt(work: Work, call: Call, held: readonly Held[]): void {
    table.adopt(call.legId, permitted(work, call, held));
  }

  function share(work: Work, call: Call, held: readonly Held[], reason: CloseReason): void {
    queue.leave(call);
    const kept = permitted(work, call, held).filter(({ pinhole }) => {
      const taken = table.taken(pinhole);
      if (taken === null) return true;
      queue.wait(call, taken.place);
      refusals.tell(work, call, portTaken(taken), work.now);
      return false;
    });
    take(work, call, table.become(call.legId, kept, reason, work.now));
  }

  function permitted(work: Work, call: Call, held: readonly Held[]): readonly Held[] {
    const { review } = policy();
    return held.slice(0, settings().caps.pinholesPerCall).filter(({ pinhole, slot }) => {
      const side = ownerOf(slot);
      const refused =
        review(pinhole, call.parties[side], call.parties[otherSide(side)]) ?? anySource(pinhole);
      if (refused !== null) refusals.tell(work, call, refused, work.now);
      return refused === null;
    });
  }

  /** Where nobody may be sent to by everybody. */
  function anySource({ id, sources }: Pinhole): Refusal | null {
    if (sources !== 'any' || isAnyMeant()) return null;
    return { reason: 'no-source', detail: `${id}, held from before` };
  }

  function take(work: Work, call: Call, { change, events, freed }: TableResult): void {
    if (events.length > 0) {
      introduce(work, call);
      const name = nameOf(call);
      for (const event of events) tell(work, happeningOf(name, event));
    }
    if (change !== null) work.changes = appended(work.changes, change);
    if (freed.length > 0) for (const one of queue.take(freed)) work.again = appended(work.again, one);
  }

  return {
    update,
    expire: (work, call, at) => take(work, call, table.expire(call.legId, at)),
    close: (work, call, departure) =>
      take(work, call, table.replace(call.legId, [], NO_SLOTS, departure, work.now)),
    leaveQueue: queue.leave,
    adopt,
    share,
    deadline: (call) => table.deadline(call.legId),
    traffic: table.traffic,
    holdings: table.holdings,
    held: table.held,
    pinholes: table.open,
    get size() {
      return table.size;
    },
  };
}

/** Refusals for which RTP may go without its RTCP: where that would be is no port for media. */
const OF_PORTS: ReadonlySet<RefusalReason> = new Set<RefusalReason>(['port-out-of-range', 'denied-port']);

/** RTP and its RTCP on the port after it, apart; null where they are no such pair. */
function halvesOf(wanted: Wanted): readonly [rtp: Wanted, rtcp: Wanted] | null {
  const [first, last] = wanted.ports;
  if (wanted.kind !== 'rtp+rtcp' || last !== first + 1) return null;
  return [
    { ...wanted, kind: 'rtp', ports: portRange(first, first) },
    { ...wanted, kind: 'rtcp', ports: portRange(last, last) },
  ];
}

function portTaken({ place, host }: TakenPort): Refusal {
  return { reason: 'port-taken', detail: `${place} is ${host}'s` };
}

/** Written out: a spread costs ten times as much. */
function happeningOf(call: CallName, event: HolderEvent): PinholeHappening {
  const { what, pinhole, slot, openedAt, agreed, until, reason, at } = event;
  return { type: 'pinhole', what, call, pinhole, slot, openedAt, agreed, until, reason, at };
}
