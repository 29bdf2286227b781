/** States that rules made. They outlive their rule, and pass packets until they are killed. */
import {
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_OUT,
} from '../../../native-bindings/freebsd/constants.ts';
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
import { isNotKnown } from './refusal.ts';

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
 * packets may pass still. Returns how many. `states` as `readStates` gives them.
 *
 * Which rule made a state does not matter. Where inside hosts may send and send first, both states of a flow belong to
 * the administrator's own rules, and what the outside party sends goes on passing as replies: the states are told by
 * their flow, before and after translation, and killed one by one.
 */
export function killStatesOf(
  pf: Pf,
  states: Buffer | null,
  closed: readonly Opening[],
  isOpen: (flow: Flow) => boolean = () => false,
): number {
  if (closed.length === 0) return 0;
  const selectors = states === null ? selectorsOf(closed) : handlesOf(states, closed, isOpen);
  return killEach(pf, selectors);
}

function killEach(pf: Pf, selectors: Iterable<StateSelector>): number {
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
  for (const state of statesWith(portsOf(closed), states)) {
    const flows = flowsOf(state).filter((flow) => index.find(flow) !== null);
    if (flows.length > 0 && !flows.every(isOpen)) yield { state: state.handle };
  }
}

/**
 * Kills the states of flows that began before their translation was there, and keep what the ruleset made of them: a host
 * that sends media before its own answer has passed has another port than it announces, for as long as it sends. The next
 * packet makes a state by the openings' own rules. Returns how many. `states` as `readStates` gives them.
 */
export function killUntranslated(pf: Pf, states: Buffer | null, opened: readonly Opening[]): number {
  const translated = opened.filter(
    ({ direction, translation }) => direction === 'in' && translation?.by === 'pinhole',
  );
  if (translated.length === 0) return 0;
  const selectors = states === null ? selectorsOf(translated) : untranslatedOf(states, translated);
  return killEach(pf, selectors);
}

function* untranslatedOf(
  states: Buffer,
  translated: readonly Opening[],
): Generator<{ readonly state: StateHandle }> {
  const index = createOpeningIndex(translated);
  for (const state of statesWith(portsOf(translated), states)) {
    const { source, destination, wire } = state;
    const isOut = state.direction === PF_OUT;
    const [party, host] = isOut ? [destination, source] : [source, destination];
    const flow = flowOf(state, party, host);
    const arrivesAt = flow === null ? null : (index.find(flow)?.translation?.arrivesAt ?? null);
    if (arrivesAt === null) continue;
    const isRight = isOut
      ? format(wire.source) === arrivesAt && wire.source.port === host.port
      : wire.source.port === party.port;
    if (!isRight) yield { state: state.handle };
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

function portsOf(openings: readonly Opening[]): Set<number> {
  const all = new Set<number>();
  for (const { ports } of openings) for (let port = ports[0]; port <= ports[1]; port++) all.add(port);
  return all;
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
