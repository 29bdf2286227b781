import type { Guest } from './guest.ts';

export interface RulesetOptions {
  /** Translation rules, before the filter rules. */
  readonly nat?: readonly string[];
  /** Rules before all others. */
  readonly first?: readonly string[];
  /** Rules after all others. */
  readonly last?: readonly string[];
  /** The daemon loads the divert rules itself. */
  readonly failOpen?: boolean;
  /** False: SIP passes, and nobody is handed it. */
  readonly divert?: boolean;
  readonly anchor?: boolean;
}

/** The administrator's pf.conf: nothing passes but SIP, ICMP and what pinholes let through. */
export function ruleset({ interfaces, before15 }: Guest, options: RulesetOptions = {}): string {
  const { outside, inside } = interfaces;
  const { nat = [], first = [], last = [], failOpen = false, divert = true, anchor = true } = options;
  const handedOver = divert && !failOpen ? ' divert-to 8668' : '';
  const sip = `${before15 ? 'inet ' : ''}proto { tcp udp } to port 5060`;
  return [
    'set reassemble yes',
    'set state-policy if-bound',
    'set skip on lo0',
    ...(before15 ? [] : ['set limit anchors 1024']),
    ...nat,
    'block log all',
    ...first,
    'pass quick proto icmp',
    'pass quick proto ipv6-icmp',
    ...(failOpen ? ['anchor "pinholed/divert"'] : []),
    `pass in quick on ${outside} ${sip}`,
    `pass out quick on ${outside} ${sip}`,
    `pass in quick on ${inside} ${sip}${handedOver}`,
    `pass out quick on ${inside} ${sip}${handedOver}`,
    ...(anchor ? ['anchor "pinholed" proto { tcp udp } to port 1024:65535'] : []),
    ...last,
  ].join('\n');
}

/** Inside hosts may send media wherever they like: so it is on nearly every firewall. `external`: where they are translated to. */
export function egress({ interfaces: { outside, inside } }: Guest, external?: string): string[] {
  return [
    `pass in quick on ${inside} inet proto udp from 192.0.2.0/24`,
    `pass out quick on ${outside} inet proto udp from 192.0.2.0/24`,
    ...(external === undefined ? [] : [`pass out quick on ${outside} inet proto udp from ${external}`]),
  ];
}

/** For all of these tests: what one host does here is no flood, and what is over is over at once. */
export const UNCAPPED = `caps: { calls-per-host: 100000, offers-per-second: 100000 }
timers: { drain: 0, mux-grace: 0 }
log: { level: info, rate: 100000 }
`;

/** Everybody but the stranger is inside, so that both ends of a call get pinholes. */
export const CONFIG = `
inside: [192.0.2.0/24, 198.51.100.10, '2001:db8:2::/64', '2001:db8:1::/64']
${UNCAPPED}`;
