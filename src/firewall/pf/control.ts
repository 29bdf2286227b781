/** What another thread does with a /dev/pf of its own: nothing that a packet waits for, and no rule is changed. */
import { PF_PASS } from '../../../native-bindings/freebsd/constants.ts';
import type { Pf } from '../../../native-bindings/freebsd/pf.ts';
import { createOpeningIndex, type Flow, type Opening, type OpeningIndex } from '../../pinhole/opening.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import { guarded } from '../attempt.ts';
import { type Deviation, deviationOf } from '../deviation.ts';
import type { FirewallControl, Retired, Retirement } from '../firewall.ts';
import type { PfOptions } from '../pf.ts';
import { KINDS, RULESETS } from './family.ts';
import { type Layout, layOut } from './layout.ts';
import { createParent, shardNames } from './parent.ts';
import { openingOf, rulesOf } from './rule.ts';
import { readPinholeRules, readWhole } from './ruleset.ts';
import { killStatesOf, killUntranslated, readStates } from './states.ts';
import { createTrafficCounter } from './traffic.ts';
import { poolTicket } from './transaction.ts';

export function openPfControl(pf: Pf, options: PfOptions): FirewallControl {
  const { anchors, mediaPorts, shards } = options;
  const layout = layOut(mediaPorts, shards);
  const counter = createTrafficCounter(pf, anchors.pass);

  /** Reads pf's whole table, once. What it told is counted after the states are gone: parties wait to be shut out, not for that. */
  function retire({ closed = [], opened = [], uncounted = [] }: Retirement): Retired {
    const table = readStates(pf);
    const states =
      killStatesOf(pf, table, closed, openNow(pf, anchors.pass, layout)) +
      killUntranslated(pf, table, opened) +
      killStatesOf(pf, table, uncounted);
    return { states, counts: counter.last(closed, table) };
  }

  return {
    traffic: () => guarded(counter.count),
    compare: (intended) => guarded(() => compare(pf, options, layout, intended)),
    retire: (what) => guarded(() => retire(what)),
    close: () => pf.close(),
  };
}

/** Whether the kernel has a rule that lets packets of a flow pass. Reads a shard at most once. */
function openNow(pf: Pf, anchor: string, layout: Layout): (flow: Flow) => boolean {
  const read = new Map<string, OpeningIndex<Opening>>();
  return (flow) => {
    const name = layout.names[layout.shardOf(flow.destinationPort)]!;
    let index = read.get(name);
    if (index === undefined) {
      const found = readWhole(() => readPinholeRules(pf, `${anchor}/${name}`, PF_PASS));
      index = createOpeningIndex(found.flatMap((rule) => (rule === null ? [] : openingOf(rule))));
      read.set(name, index);
    }
    return index.find(flow) !== null;
  };
}

/** Every rule below the anchors, the rules that lead to the shards included. */
function compare(pf: Pf, options: PfOptions, layout: Layout, intended: readonly Pinhole[]): Deviation {
  const { anchors, uplinks } = options;
  const wanted = intended
    .flatMap((pinhole) => rulesOf(pinhole, uplinks))
    .flatMap(({ kind, key, ports: [first, last] }) =>
      layout.names
        .slice(layout.shardOf(first), layout.shardOf(last) + 1)
        .map((name) => `${anchors[kind]}/${name}: ${key}`),
    );
  const held = KINDS.flatMap((kind) =>
    shardNames(pf, anchors[kind]).flatMap((name) => {
      const path = `${anchors[kind]}/${name}`;
      const found = readPinholeRules(pf, path, RULESETS[kind].action);
      return found.map((rule, nr) => `${path}: ${rule?.key ?? `not a pinhole's, at ${nr}`}`);
    }),
  );
  const found = deviationOf(held, wanted);
  const parent = createParent(pf, { ...RULESETS.pass, anchor: anchors.pass }, layout, poolTicket(pf));
  if (parent.isLoaded()) return found;
  return { ...found, missing: [`${anchors.pass}: the rules that lead to the shards`, ...found.missing] };
}
