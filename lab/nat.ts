/** The firewall of the topology with address translation between the client and everybody else. */
import type { Address } from '../src/address/address.ts';
import { queueRules } from './topology.ts';

/** What the client is seen as from outside. The firewall has it on its link to the server. */
export function externalAddress(family: 4 | 6 = 4): Address {
  return family === 4 ? '10.0.2.200' : 'fd00:0:0:2::200';
}

/**
 * As most have it: outbound NAT that gives every source a random port, a forward of SIP to the client. Both chains stand
 * where nft(8) says they do.
 */
export const NAT_RULES = `
table inet nat {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname != "client" ip daddr ${externalAddress(4)} meta l4proto { udp, tcp } th dport 5060 dnat ip to 10.0.1.10
    iifname != "client" ip6 daddr ${externalAddress(6)} meta l4proto { udp, tcp } th dport 5060 dnat ip6 to fd00:0:0:1::10
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    iifname "client" oifname != "client" meta l4proto { udp, tcp } th sport 5060 snat ip to ${externalAddress(4)}
    iifname "client" oifname != "client" meta l4proto { udp, tcp } th sport 5060 snat ip6 to ${externalAddress(6)}
    iifname "client" oifname != "client" snat ip to ${externalAddress(4)} random
    iifname "client" oifname != "client" snat ip6 to ${externalAddress(6)} random
  }
}`;

/** What comes to the firewall itself is dropped. */
export const FIREWALL_ITSELF = `
table inet firewall_itself {
  chain input {
    type filter hook input priority filter; policy drop;
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  }
}`;

/** `queueRules` with NAT beside them. */
export function natRules(firewall: (program: string, ...args: readonly string[]) => string): void {
  queueRules(firewall);
  firewall('ip', 'address', 'add', `${externalAddress(4)}/32`, 'dev', 'server');
  firewall('ip', 'address', 'add', `${externalAddress(6)}/128`, 'dev', 'server', 'nodad');
  firewall('nft', NAT_RULES);
  firewall('nft', FIREWALL_ITSELF);
}
