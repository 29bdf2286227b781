import { ownCopy } from '../own-copy.ts';
import { isSdpError, isSession } from '../sdp/session.ts';
import {
  type Announcements,
  announce,
  announceCandidates,
  mergeAnnounced,
  NOTHING_ANNOUNCED,
} from './announced.ts';
import type { Call } from './call.ts';
import type { Admission } from './context.ts';
import { type Legs, shareOut } from './legs.ts';
import type { Incoming } from './outcome.ts';

/** Takes down what is announced in each Call-ID. */
export interface Announcing {
  /** What of this description others may name after it. Before the INVITE that comes here the Call-ID has no leg. */
  takeDown(incoming: Incoming): void;
  /** The list for a new leg: that of the `first` one, or of what was named before there was any. */
  claim(callId: string, first: Call | undefined): Announcements;
  /** What was named here before this leg was heard of comes before what it brings. */
  precede(call: Call): void;
}

/** Call-IDs without a leg whose announcements are kept; the oldest goes for a new one. */
const MAX_WITHOUT_LEG = 4096;

export function createAnnouncing({ isInside, isOpenable }: Admission, legs: Pick<Legs, 'of'>): Announcing {
  /** What outside parties named at addresses that could be opened, by Call-IDs that have no leg (yet). */
  const withoutLeg = new Map<string, Announcements>();

  function takeDown({ message: { callId, sdp }, arrival, bodies }: Incoming): void {
    if (sdp.kind !== 'sdp' && sdp.kind !== 'sdpfrag') return;
    const outside = !isInside(arrival.source.address);
    const own = legs.of(callId);
    if (own.length === 0 && !outside) return;
    const before = own[0]?.announced ?? withoutLeg.get(callId) ?? NOTHING_ANNOUNCED;
    let list = before;
    if (sdp.kind === 'sdp') {
      const session = bodies.session();
      if (isSession(session)) list = announce(list, session, outside, isOpenable);
    } else {
      const fragment = bodies.fragment();
      if (isSdpError(fragment)) return;
      for (const { candidates } of fragment) list = announceCandidates(list, candidates, outside, isOpenable);
    }
    if (list === before) return;
    shareOut(own, list);
    if (own.length === 0) keep(callId, list);
  }

  function keep(callId: string, list: Announcements): void {
    const isNew = !withoutLeg.has(callId);
    if (isNew && withoutLeg.size >= MAX_WITHOUT_LEG) withoutLeg.delete(withoutLeg.keys().next().value!);
    withoutLeg.set(isNew ? ownCopy(callId) : callId, list);
  }

  return {
    takeDown,
    claim(callId, first) {
      const list = first?.announced ?? withoutLeg.get(callId) ?? NOTHING_ANNOUNCED;
      withoutLeg.delete(callId);
      return list;
    },
    precede(call) {
      const list = withoutLeg.get(call.callId);
      if (list === undefined) return;
      withoutLeg.delete(call.callId);
      shareOut(legs.of(call.callId), mergeAnnounced(list, call.announced));
    },
  };
}
