/** The daemon's own rules that hand SIP to it, in `pinholed/divert`: there only while somebody takes the packets. */
import {
  AF_INET,
  AF_INET6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  PF_IN,
  PF_OUT,
  PF_PASS,
  PF_RULESET_FILTER,
  PF_STATE_NORMAL,
  PFRULE_NOSYNC,
  PFRULE_STATESLOPPY,
  TH_ACK,
  TH_SYN,
} from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import type { PfRuleValues } from '../../../native-bindings/freebsd/pf-rule.ts';
import { guarded } from '../attempt.ts';
import { DIVERT } from './parent.ts';
import { portRange } from './ports.ts';
import type { ReloadGate } from './reload-gate.ts';
import { poolTicket, replaceRulesets } from './transaction.ts';

interface DivertRulesOptions {
  /** The anchor that is ours; the rules go into `divert` below it. */
  readonly anchor: string;
  /** The divert(4) port. */
  readonly port: number;
  /** Interfaces towards the inside hosts. */
  readonly interfaces: readonly string[];
  readonly sipPorts: readonly (readonly [first: number, last: number])[];
  /**
   * Another firewall may take over (`peers-store`), and reads on what this one read. A TCP connection gets its state in the
   * middle there.
   */
  readonly shared: boolean;
  /** Whether this kernel diverts IPv6; before 15 such a rule passes the packet unread and complains. */
  readonly ipv6: boolean;
  /** Shut while the firewall loads its ruleset; absent: never. */
  readonly gate?: ReloadGate;
}

interface DivertRules {
  /**
   * Loads the rules in one transaction. UDP states that came about while they were not there are killed, on the
   * same interfaces and ports: their packets would go on passing unread.
   */
  install(): void;
  /** Removes the rules, then their states, which would go on diverting. Throws FirewallError. */
  remove(): void;
  close(): void;
}

/** Label of the rules, by which their states are killed. */
const DIVERT_LABEL = 'pinholed:divert';

/**
 * `pass in quick on em1 inet proto udp to any port 5060 keep state (no-sync) divert-to 8668 label "pinholed:divert"`, and so on.
 *
 * What pfsync(4) brings of a state of theirs has no rule at the other firewall, since theirs is in an anchor
 * (pfsync_state_import, if_pfsync.c), and SIP would pass there unread. Without a state the next packet of UDP makes one by the
 * rules there. One of TCP does by `flags any` alone, and `sloppy` then, for the scale of its window is not known.
 */
function divertRules({ port, interfaces, sipPorts, ipv6, shared }: DivertRulesOptions): PfRuleValues[] {
  const families = ipv6 ? [AF_INET, AF_INET6] : [AF_INET];
  return interfaces.flatMap((ifname) =>
    [PF_IN, PF_OUT].flatMap((direction) =>
      families.flatMap((af) =>
        [IPPROTO_UDP, IPPROTO_TCP].flatMap((proto) =>
          sipPorts.map((ports) => ({
            action: PF_PASS,
            direction,
            quick: 1,
            ifname,
            af,
            proto,
            dst: portRange(ports),
            ...(proto === IPPROTO_TCP && !shared && { flags: TH_SYN, flagset: TH_SYN | TH_ACK }),
            rule_flag: stateFlags(proto, shared),
            keep_state: PF_STATE_NORMAL,
            divert: { port },
            label: DIVERT_LABEL,
            rtableid: -1,
          })),
        ),
      ),
    ),
  );
}

/** Whoever shares no calls has no use for what is read of a TCP connection at another firewall: it goes on by its state. */
function stateFlags(proto: number, shared: boolean): number {
  if (proto !== IPPROTO_TCP) return PFRULE_NOSYNC;
  return shared ? PFRULE_NOSYNC | PFRULE_STATESLOPPY : 0;
}

export function createDivertRules(pf: Pf, options: DivertRulesOptions): DivertRules {
  const anchor = `${options.anchor}/${DIVERT}`;
  const pool = poolTicket(pf, options.gate);

  const load = (rules: readonly PfRuleValues[]) =>
    replaceRulesets(pf, pool, [
      { ruleset: PF_RULESET_FILTER, anchor, rules: rules.map((values) => ({ values })) },
    ]);

  function killUnread(): void {
    for (const ifname of options.interfaces) {
      for (const port of options.sipPorts) pf.killStates({ ifname, proto: IPPROTO_UDP, dst: { port } });
    }
  }

  return {
    install: () =>
      guarded(() => {
        pool.renew();
        load(divertRules(options));
        killUnread();
      }),
    remove: () =>
      guarded(() => {
        load([]);
        pf.killStates({ label: DIVERT_LABEL });
      }),
    close: () => pf.close(),
  };
}
