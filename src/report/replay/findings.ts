import type { Address } from '../../address/address.ts';
import { type Announcements, createAnnouncements } from './announced.ts';
import { type CallJournal, createCallJournal } from './calls.ts';
import { createRefusalIndex, type RefusalIndex } from './cause.ts';
import { createFlowTable, type Flow, type FlowTable } from './flows.ts';
import { createPinholeJournal, type PinholeJournal } from './pinholes.ts';
import { createSignallingLog, type SignallingLog } from './signalling.ts';

/** Everything that is gathered of a capture, and that its report is made of. */
export interface Findings {
  readonly calls: CallJournal;
  /** Messages of INVITE dialogs that no call came of. */
  readonly strays: CallJournal;
  readonly pinholes: PinholeJournal;
  readonly announcements: Announcements;
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
  const announcements = createAnnouncements();
  return {
    calls: createCallJournal(),
    strays: createCallJournal(MAX_STRAY_MESSAGES),
    pinholes: createPinholeJournal(),
    announcements,
    refusals: createRefusalIndex(),
    signalling: createSignallingLog(),
    flows: createFlowTable((flow) => flow.proven || isAnnounced(flow, announcements)),
    seenHosts: new Set(),
    sipHosts: new Set(),
    sipEndpoints: new Set(),
  };
}

/** Whether some description named its destination. */
export function isAnnounced({ destination, destinationPort }: Flow, announcements: Announcements): boolean {
  return announcements.at(destination, destinationPort).length > 0;
}
