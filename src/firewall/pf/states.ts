/** States that rules made. They outlive their rule, and pass packets until they are killed. */
import { AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP } from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { StateSelector } from '../../../native-bindings/freebsd/pf-nv.ts';
import { addressBytes, familyOf } from '../../address/address.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';

type Killed = Pick<Pinhole, 'label' | 'protocol' | 'address' | 'ports'>;

/**
 * Kills the states of closed pinholes, and returns how many. Each kill walks pf's whole table: 131,072 rows.
 *
 * A state bears the label of the rule that made it. The ports are compared as well because two pinholes of one
 * stream share a label: those before and after a change of port, RTP and RTCP. `labelled: false` is for rules that
 * only tag (`freebsd.tag`), whose states belong to the administrator's rule: those are told by address and port.
 */
export function killStatesOf(pf: Pf, closed: readonly Killed[], labelled: boolean): number {
  const selectors = new Map<string, StateSelector>();
  for (const { label, protocol, address, ports } of closed) {
    const own: StateSelector = labelled ? { label } : { af: familyOf(address) === 4 ? AF_INET : AF_INET6 };
    const host = labelled ? {} : { address: addressBytes(address) };
    const key = `${labelled ? label : address} ${protocol} ${ports.join('-')}`;
    const proto = protocol === 'tcp' ? IPPROTO_TCP : IPPROTO_UDP;
    selectors.set(key, { ...own, proto, dst: { ...host, port: ports }, translated: true });
  }
  let killed = 0;
  for (const selector of selectors.values()) killed += pf.killStates(selector);
  return killed;
}
