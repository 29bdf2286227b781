import { mergeAnnounced } from './announced.ts';
import type { Announcing } from './announcing.ts';
import type { Call } from './call.ts';
import type { CallTimers } from './context.ts';
import { latestEnd } from './expiry.ts';
import { type Legs, MAX_LEGS, shareOut } from './legs.ts';
import type { Places } from './places.ts';
import { LONGEST_REGISTRATION } from './standing.ts';

/** Takes up a call that was known here before; false when a leg of its name is there already. */
export function takeBack(legs: Legs, places: Places, call: Call): boolean {
  if (!legs.adopt(call, true)) return false;
  if (takesPlace(call)) places.adopt(call);
  return true;
}

/** Takes the call up as it is elsewhere, as one that is new here; false when there is no room for it. */
export function takeNew(legs: Legs, places: Places, { precede }: Announcing, call: Call): boolean {
  if (legs.of(call.callId).length >= MAX_LEGS || !legs.adopt(call, false)) return false;
  if (takesPlace(call) && !places.share(call)) {
    legs.forget(call);
    return false;
  }
  precede(call);
  return true;
}

/**
 * Makes of the call what it is elsewhere; false when the other only has its name. What was announced, and signs of life,
 * count wherever they were seen: it is not silent while media is heard here.
 */
export function makeLike(
  {
    legs,
    places,
    timers,
    now,
  }: { readonly legs: Legs; readonly places: Places; readonly timers: CallTimers; readonly now: number },
  call: Call,
  theirs: Call,
): boolean {
  if (!isSameCall(call, theirs)) return false;
  places.leave(call);
  legs.revive(call);
  const { mediaAt, heardAt, ownAt, untoldAt } = call;
  const isHeard = !call.idle && now < mediaAt + (theirs.held ? timers.holdIdle : timers.mediaIdle);
  const announced = mergeAnnounced(call.announced, theirs.announced);
  shareOut(legs.of(call.callId), announced);
  Object.assign(call, theirs, {
    announced,
    idle: theirs.idle && !isHeard,
    mediaAt: Math.max(mediaAt, theirs.mediaAt),
    heardAt: Math.max(heardAt, theirs.heardAt),
    ownAt: Math.max(ownAt, theirs.ownAt),
    untoldAt: Math.max(untoldAt, theirs.untoldAt),
  });
  if (takesPlace(call)) places.adopt(call);
  legs.settle(call);
  return true;
}

/** What a call keeps for life, and is kept by: who waits, who is counted and what stands is found by its parties. */
function isSameCall(call: Call, theirs: Call): boolean {
  return (
    call.callId === theirs.callId &&
    call.standing?.entry === theirs.standing?.entry &&
    call.parties.every((party, side) => party === theirs.parties[side])
  );
}

/** One that stands on no SIP has bounds of its own. */
function takesPlace({ state, standing }: Call): boolean {
  return state !== 'ended' && standing === null;
}

/** ms in which media that goes on shows itself to who has just taken up a call. */
const SHOWS_WITHIN = 60_000;

/**
 * A call that was read at `now` lasts no longer than one may here, unless it stands on no SIP. Media that was seen since
 * its record was written is not in it: nobody is silent for too long, nor does a call in which people talk run out, before
 * there was time to see any.
 */
export function arrive(call: Call, timers: CallTimers, now: number): Call {
  const { mediaIdle, holdIdle, oneWay } = timers;
  if (call.standing === null) call.hardDeadline = Math.min(call.hardDeadline, latestEnd(timers, now));
  for (const one of call.standing?.registrations ?? []) {
    one.until = Math.min(one.until, now + LONGEST_REGISTRATION);
  }
  if (call.state === 'ended' || call.idle) return call;
  const since = (limit: number) => now - Math.max(0, limit - SHOWS_WITHIN);
  call.mediaAt = Math.max(call.mediaAt, since(call.held ? holdIdle : mediaIdle));
  call.heardAt = Math.max(call.heardAt, since(mediaIdle));
  call.ownAt = Math.max(call.ownAt, since(oneWay));
  return call;
}

/** The call is known to go on, media being where it is not seen. */
export function keepUp(call: Call, now: number): void {
  call.mediaAt = now;
  call.ownAt = now;
  if (call.heardAt !== Number.NEGATIVE_INFINITY) call.heardAt = now;
}
