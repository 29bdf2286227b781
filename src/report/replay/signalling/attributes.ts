import type { Buffer } from 'node:buffer';
import { type Address, parseAddress } from '../../../address/address.ts';
import type { FramePlace } from '../../../history/call-report.ts';
import type { Session } from '../../../sdp/session.ts';
import { readRoughly } from '../named.ts';
import { MOST_REMEMBERED } from './bounds.ts';

/** A line of a description that names an address and is not followed: `a=altc`, `o=`, an `a=candidate` beyond the cap. */
export interface NamingAttribute {
  readonly attribute: string;
  readonly summary: string;
  readonly place: FramePlace;
}

interface NamingAttributes {
  /** Looks in a description that was read, and in its text. */
  add(session: Session, payload: Buffer, summary: string, place: FramePlace): void;
  of(address: Address): NamingAttribute | null;
}

/** The first line that names each address without that anything follows from it. */
export function createNamingAttributes(): NamingAttributes {
  const byAddress = new Map<Address, NamingAttribute>();

  function note(address: Address, attribute: string, summary: string, place: FramePlace): void {
    if (byAddress.size >= MOST_REMEMBERED || byAddress.has(address)) return;
    byAddress.set(address, { attribute, summary, place });
  }

  return {
    add: (session, payload, summary, place) => {
      if (hasUnknownAttributes(payload)) {
        for (const [address, attribute] of readRoughly(payload).named.attributes)
          note(address, attribute, summary, place);
      }
      if (session.streams.some(({ candidatesDropped }) => candidatesDropped > 0)) {
        const kept = session.streams.flatMap(({ candidates }) =>
          candidates.map(({ connection }) => connection),
        );
        for (const address of readRoughly(payload).named.candidates) {
          if (!kept.some((one) => one.kind === 'address' && one.address === address))
            note(address, 'a=candidate', summary, place);
        }
      }
      const origin = parseAddress(session.origin.slice(session.origin.lastIndexOf(' ') + 1));
      if (origin !== null) note(origin, 'o=', summary, place);
    },
    of: (address) => byAddress.get(address) ?? null,
  };
}

/** Whether a description may name an address in a line that is not followed. Most have no such line. */
function hasUnknownAttributes(payload: Buffer): boolean {
  return payload.includes('a=altc') || payload.includes('a=ccap') || payload.includes('a=remote-candidates');
}
