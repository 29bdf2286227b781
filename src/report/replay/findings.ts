import type { Address } from '../../address/address.ts';
import { createSearchedPinholes, type PinholeSearch, type PinholeTraces } from '../../history/pinholes.ts';
import { type CallTraces, createCallTraces } from '../../history/traces.ts';
import { createPlaceChanges, type PlaceChanges } from '../../pinhole/place-changes.ts';
import { type AnnouncementIndex, createAnnouncements } from './announced.ts';
import { createRefusalIndex, type RefusalIndex } from './cause.ts';
import { createFlowTable, type FlowTable, type UdpFlow } from './flows.ts';
import { createSignallingLog, type SignallingLog } from './signalling.ts';

/** Everything that is gathered of a capture, and that its report is made of. */
export interface Findings {
  readonly calls: CallTraces;
  /** Messages of INVITE dialogs that no call came of. */
  readonly strays: CallTraces;
  readonly pinholes: PinholeTraces & PinholeSearch;
  readonly announcements: AnnouncementIndex;
  /** Where something was announced, or a pinhole opened or closed. */
  readonly places: PlaceChanges;
  readonly refusals: RefusalIndex;
  readonly signalling: SignallingLog;
  readonly flows: FlowTable;
  /** Hosts that sent or received any packet. */
  readonly seenHosts: Set<Address>;
  /** Hosts that sent or received SIP. */
  readonly sipHosts: Set<Address>;
  /** `address port` of SIP over UDP. */
  readonly sipEndpoints: Set<string>;
}

const MAX_STRAY_MESSAGES = 50;

export function createFindings(): Findings {
  const places = createPlaceChanges();
  const announcements = createAnnouncements(places);
  return {
    calls: createCallTraces(),
    strays: createCallTraces(MAX_STRAY_MESSAGES),
    pinholes: createSearchedPinholes(),
    announcements,
    places,
    refusals: createRefusalIndex(),
    signalling: createSignallingLog(),
    flows: createFlowTable((flow) => flow.proven || isAnnounced(flow, announcements), places.slotOf),
    seenHosts: new Set(),
    sipHosts: new Set(),
    sipEndpoints: new Set(),
  };
}

/** Whether some description named its destination. */
export function isAnnounced(
  { destination, destinationPort }: UdpFlow,
  announcements: AnnouncementIndex,
): boolean {
  return announcements.at(destination, destinationPort).length > 0;
}
