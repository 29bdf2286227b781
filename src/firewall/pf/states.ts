/** States that rules made. They outlive their rule, and pass packets until they are killed. */
import { AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP } from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { StateSelector } from '../../../native-bindings/freebsd/pf-nv.ts';
import {
  type PfState,
  type StateEnd,
  type StateEnds,
  type StateHandle,
  statesWith,
} from '../../../native-bindings/freebsd/pf-states.ts';
import { type Address, addressBytes, familyOf, formatIPv4, formatIPv6 } from '../../address/address.ts';
import { createOpeningIndex, type Flow, type Opening } from '../../pinhole/opening.ts';
import { isNotKnown } from './attempt.ts';

/** More states than this are not read: some 40 MB. */
const MOST_STATES = 100_000;

/** Every state; null where this kernel does not tell its states, or has too many. */
export function readStates(pf: Pf): Buffer | null {
  try {
    return pf.states(MOST_STATES);
  } catch (error) {
    if (!isNotKnown(error)) throw error;
    return null;
  }
}

/**
 * Kills every state with a direction that one of the closed openings let pass, unless `isOpen` says that these
 * packets may pass still. Returns how many. Reads pf's whole table, once.
 *
 * Which rule made a state does not matter. Where inside hosts may send and send first, both states of a flow belong to
 * the administrator's own rules, and what the outside party sends goes on passing as replies: the states are told by
 * their flow, before and after translation, and killed one by one.
 */
export function killStatesOf(
  pf: Pf,
  closed: readonly Opening[],
  isOpen: (flow: Flow) => boolean = () => false,
): number {
  if (closed.length === 0) return 0;
  const states = readStates(pf);
  const selectors = states === null ? selectorsOf(closed) : handlesOf(states, closed, isOpen);
  let killed = 0;
  for (const selector of selectors) killed += pf.killStates(selector);
  return killed;
}

function* handlesOf(
  states: Buffer,
  closed: readonly Opening[],
  isOpen: (flow: Flow) => boolean,
): Generator<{ readonly state: StateHandle }> {
  const index = createOpeningIndex(closed);
  const ports = new Set<number>();
  for (const {
    ports: [first, last],
  } of closed)
    for (let port = first; port <= last; port++) ports.add(port);
  for (const state of statesWith(ports, states)) {
    const flows = flowsOf(state).filter((flow) => index.find(flow) !== null);
    if (flows.length > 0 && !flows.every(isOpen)) yield { state: state.handle };
  }
}

/**
 * Where the states cannot be read: by the addresses and ports of both ends, for either way round. Each walks the whole
 * table, and what is open still to the same ends has to make its states anew.
 */
function selectorsOf(closed: readonly Opening[]): StateSelector[] {
  const selectors = new Map<string, StateSelector>();
  for (const { protocol, sources, sourcePort, address, ports } of closed) {
    for (const source of sources === 'any' ? [null] : sources) {
      const common = {
        af: familyOf(address) === 4 ? AF_INET : AF_INET6,
        proto: protocol === 'tcp' ? IPPROTO_TCP : IPPROTO_UDP,
        translated: true,
      };
      const near = { address: addressBytes(address), port: ports };
      const far = {
        ...(source !== null && { address: addressBytes(source) }),
        ...(sourcePort !== null && { port: sourcePort }),
      };
      const key = `${protocol} ${source} ${sourcePort} ${address} ${ports.join('-')}`;
      selectors.set(`< ${key}`, { ...common, src: far, dst: near });
      selectors.set(`> ${key}`, { ...common, src: near, dst: far });
    }
  }
  return [...selectors.values()];
}

const PROTOCOLS: Readonly<Record<number, 'udp' | 'tcp'>> = { [IPPROTO_UDP]: 'udp', [IPPROTO_TCP]: 'tcp' };

/** Both directions, with the addresses that the machine itself has, and where they differ with those on the wire. */
function flowsOf(state: PfState): Flow[] {
  const protocol = PROTOCOLS[state.protocol];
  if (protocol === undefined) return [];
  const ends: StateEnds[] = state.wire.source === state.source ? [state] : [state, state.wire];
  return ends.flatMap(({ source, destination }) => [
    flowBetween(protocol, source, destination),
    flowBetween(protocol, destination, source),
  ]);
}

/** What passes along a state, in the terms of a filter; null where it is neither UDP nor TCP. */
export function flowOf({ protocol: number }: PfState, from: StateEnd, to: StateEnd): Flow | null {
  const protocol = PROTOCOLS[number];
  return protocol === undefined ? null : flowBetween(protocol, from, to);
}

function flowBetween(protocol: 'udp' | 'tcp', from: StateEnd, to: StateEnd): Flow {
  return {
    protocol,
    source: format(from),
    sourcePort: from.port,
    destination: format(to),
    destinationPort: to.port,
  };
}

function format({ address }: StateEnd): Address {
  const bytes = Buffer.from(address, 'latin1');
  return bytes.length === 4 ? formatIPv4(bytes, 0) : formatIPv6(bytes, 0);
}
