/**
 * Pinholes in pf: rules in shard anchors below one anchor of our own (`pinholed/00`...), changed one by one with
 * DIOCCHANGERULE while packets pass. The administrator's ruleset says where that anchor stands.
 */
import type { Pf } from '../../native-bindings/freebsd/pf.ts';
import type { Change } from '../pinhole/change.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { guarded } from './attempt.ts';
import { type Firewall, type LastCounts, NOT_COUNTED } from './firewall.ts';
import { type Anchors, createFamily, hasRules, KINDS, type ParentAndShards, RULESETS } from './pf/family.ts';
import { layOut } from './pf/layout.ts';
import { OPEN_GATE, type ReloadGate } from './pf/reload-gate.ts';
import {
  assemble,
  encodeRule,
  type PinholeRule,
  type RuleKind,
  type RuleStyle,
  rulesOf,
  type Uplink,
} from './pf/rule.ts';
import type { Shard } from './pf/shard.ts';
import { createStatePolicy } from './pf/state-policy.ts';
import { killStatesOf, readStates } from './pf/states.ts';
import { createStepper, type Step } from './pf/steps.ts';
import { poolTicket } from './pf/transaction.ts';
import { createShares, type PinholeAtoms } from './shares.ts';

export interface PfOptions {
  /** Paths of the anchors that are ours, for the rules that let through and for those that translate. */
  readonly anchors: Anchors;
  /** How many shards at most. */
  readonly shards: number;
  /** Destination ports that pinholes are expected to have: the shards are of equal size over these. */
  readonly mediaPorts: readonly (readonly [first: number, last: number])[];
  /** How new rules look; asked for each, so that a reload takes effect. */
  readonly style: () => RuleStyle;
  /**
   * Ways in whose packets are answered by the way they came. With a tag a rule of the administrator decides, and the rules
   * for them come to nothing: they are there all the same, so that a reload of the style changes no pinhole's rules.
   */
  readonly uplinks: readonly Uplink[];
  /** Pinholes may bring their own translation: their anchors are loaded at once, and no packet waits for that. */
  readonly translates?: boolean;
  /** Shut while the firewall loads its ruleset; absent: never. */
  readonly gate?: ReloadGate;
}

/**
 * The firewall over an open /dev/pf, with its anchor rules loaded. Rules that are in the shards already stay, for
 * `list` to show them; what of it is no pinhole of ours is removed by `list`. Throws FirewallError.
 */
export function openPfFirewall(pf: Pf, options: PfOptions): Firewall {
  const { anchors, style, uplinks } = options;
  const gate = options.gate ?? OPEN_GATE;
  const pool = poolTicket(pf, gate);
  const layout = layOut(options.mediaPorts, options.shards);
  const families = mapKinds((kind) => createFamily(pf, { kind, anchor: anchors[kind], layout, pool }));
  const policy = createStatePolicy(pf);
  const gateways = new Map(uplinks.map((uplink) => [uplink.interface, uplink.gateway]));
  const atomsOf = (pinhole: Pinhole) => rulesOf(pinhole, uplinks);
  const shares = createShares(atomsOf, ({ key }) => key);
  const stepper = createStepper(pf, {
    pool,
    families,
    encode: (rule) => encodeRule(rule, style(), { ifBound: policy.isIfBound(), gateways }),
    // A reply-to rule that comes by DIOCCHANGERULE has no address to send to on FreeBSD 15, where DIOCADDRULE alone moves it.
    singly: uplinks.length === 0,
  });

  /** Those that translate are there from the first translation on, if not expected, or as another run left them. */
  function install(alive?: () => void): void {
    policy.read();
    for (const kind of KINDS) {
      const family = families[kind];
      const isOurs =
        kind === 'pass' ||
        options.translates === true ||
        family.present ||
        hasRules(pf, anchors[kind], RULESETS[kind].action);
      if (isOurs) family.install(alive);
    }
  }

  /** What a packet may wait for: not longer than for one ruleset that is being loaded. */
  const change = <T>(act: () => T): T => guarded(() => gate.within(act));

  function commit(wanted: Change): LastCounts {
    const { added, removed, done } = shares.plan(wanted);
    change(() => stepper.apply(stepsOf(families, added, removed)));
    done();
    return NOT_COUNTED;
  }

  function list(alive?: () => void): Pinhole[] {
    return change(() => {
      install(alive);
      discard(families);
      stepper.trust();
      return adopt();
    });
  }

  /**
   * Takes the kernel's rules for what is open. A pinhole that we know and whose rules are all there is itself; the
   * other rules make up pinholes that nobody asked for, with what they lack. What belongs to no pinhole goes.
   */
  function adopt(): Pinhole[] {
    const there = new Map<string, PinholeRule>();
    for (const shard of shardsIn(families)) {
      for (const { rule } of shard.rules) if (rule !== null) there.set(rule.key, rule);
    }
    const known = shares.holdings().filter(({ atoms }) => atoms.every(({ key }) => there.has(key)));
    const spoken = new Set(known.flatMap(({ atoms }) => atoms.map(({ key }) => key)));
    const rest = [...there.values()].filter(({ key }) => !spoken.has(key));
    const assembled = assemble(rest).map(
      ({ pinhole }): PinholeAtoms<PinholeRule> => ({ pinhole, atoms: atomsOf(pinhole) }),
    );
    shares.adopt([...known, ...assembled]);
    const all = shares.holdings();
    for (const { atoms } of all) stepper.apply(stepsOf(families, atoms, []).filter(isPending));
    for (const { shard, rule } of stepsOf(families, [], rest)) {
      if (!shares.isHeld(rule.key)) shard.remove(rule.key);
    }
    return all.map(({ pinhole }) => pinhole);
  }

  /** One ioctl for each shard. */
  function intact(): boolean {
    if (stepper.doubtful) return false;
    return guarded(() => {
      policy.read();
      return KINDS.every((kind) => families[kind].intact());
    });
  }

  function clear(): void {
    guarded(() => {
      const made = shares.pinholes();
      for (const kind of [...KINDS].reverse()) families[kind].clear();
      shares.adopt([]);
      killStatesOf(pf, readStates(pf), made);
    });
  }

  guarded(() => install());
  return { commit, list, intact, clear, close: () => pf.close() };
}

type Families = Readonly<Record<RuleKind, ParentAndShards>>;

function mapKinds<T>(make: (kind: RuleKind) => T): Readonly<Record<RuleKind, T>> {
  return { pass: make('pass'), rdr: make('rdr'), binat: make('binat') };
}

/**
 * Additions first. What lets through comes after what translates, and goes before it: no packet passes half translated. A
 * rule whose ports reach over the border of two shards is in both.
 */
function stepsOf(families: Families, added: readonly PinholeRule[], removed: readonly PinholeRule[]): Step[] {
  const inShards = (rules: readonly PinholeRule[], add: boolean) =>
    rules.flatMap((rule) => families[rule.kind].shardsOf(rule).map((shard) => ({ shard, add, rule })));
  const place = ({ rule }: Step) => KINDS.indexOf(rule.kind);
  return [
    ...inShards(added, true).sort((a, b) => place(a) - place(b)),
    ...inShards(removed, false).sort((a, b) => place(b) - place(a)),
  ];
}

/** A step that is not done yet. */
function isPending({ shard, add, rule }: Step): boolean {
  return shard.has(rule.key) !== add;
}

function shardsIn(families: Families): Shard[] {
  return KINDS.filter((kind) => families[kind].present).flatMap((kind) => families[kind].shards);
}

/** Takes out what is no rule of ours, or not where it belongs, or there twice. */
function discard(families: Families): void {
  for (const shard of shardsIn(families)) {
    const seen = new Set<string>();
    const wrong = shard.rules.filter(({ key, rule }) => {
      const right = rule !== null && families[rule.kind].shardsOf(rule).includes(shard) && !seen.has(key);
      seen.add(key);
      return !right;
    });
    for (const { key } of wrong) shard.remove(key);
  }
}
