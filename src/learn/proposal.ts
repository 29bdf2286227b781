import type { Address } from '../address/address.ts';
import { type Network, networkSet, parseNetwork } from '../address/network.ts';
import type { PortRange } from '../address/ports.ts';
import { annotated, type Line } from '../config/annotated.ts';
import { loadConfig } from '../config/load.ts';
import { defaults, type Settings } from '../config/schema.ts';
import type { CallReport } from '../history/call-report.ts';
import type { NatMapping } from '../policy/external.ts';
import type { FlowReport, ReplayReport } from '../report/replay/model.ts';
import { replayed } from './captures.ts';
import { type Comparison, compare, outcomesIn, outcomesOf } from './compare.ts';
import { judged } from './judge.ts';
import { linesFor } from './learn.ts';
import { createMeanings } from './meaning.ts';
import { type SeenCall, seenCall } from './seen.ts';

/** What was learned of some calls. */
export interface Proposal {
  readonly lines: readonly Line[];
  /** What the lines come to; null where there are none. */
  readonly settings: Settings | null;
  readonly calls: readonly SeenCall[];
  /** The calls under these settings, where that was tried. */
  readonly after: Pick<ReplayReport, 'calls' | 'media' | 'refusals' | 'damage'> | null;
  /** Beside what they had with everything allowed. */
  readonly comparison: Comparison | null;
}

const EVERY_PORT: readonly PortRange[] = [[1, 65_535]];

/**
 * From captures: they are replayed with everything allowed that a configuration can allow, and again with what was learned,
 * to see that nothing is missing. `inside`: whose hosts may have anything opened at all. Throws CaptureError.
 */
export function learnFromCaptures(
  files: readonly string[],
  inside: readonly Network[],
  tunnels: boolean,
): Proposal {
  const broad: Settings = { ...defaults(), inside, mediaPorts: EVERY_PORT, tcpMedia: true };
  const first = replayed(files, broad, tunnels);
  const found = seenIn(first.calls, first.media, networkSet(inside));
  const more = namedFor(found);
  const wide =
    more.nat.length + more.mediaHosts.length === 0 ? first : replayed(files, { ...broad, ...more }, tunnels);
  const calls = wide === first ? found : wide.calls.map((report) => seenCall(report, () => null));
  const lines = linesFor(calls);
  const settings = settingsOf(lines);
  if (settings === null) return { lines, settings, calls, after: wide, comparison: null };
  const after = replayed(files, settings, tunnels);
  return { lines, settings, calls, after, comparison: compare(outcomesIn(wide), outcomesIn(after)) };
}

/**
 * From what a daemon remembers, that runs with `settings`: what it opened, or would have, and what it refused that a
 * configuration can allow. Its streams are decided anew with what was learned; what stands for `static-media` stays as it is set.
 */
export function learnFromHistory(
  reports: readonly CallReport[],
  { inside, staticMedia }: Pick<Settings, 'inside' | 'staticMedia'>,
): Proposal {
  const calls = seenIn(reports, [], networkSet(inside));
  const lines = linesFor(calls);
  const learned = settingsOf(lines);
  const allowed = outcomesOf(calls, [], () => true);
  const comparison =
    learned === null ? null : compare(allowed, judged(calls, { ...learned, staticMedia }, {}));
  return { lines, settings: learned, calls, after: null, comparison };
}

function seenIn(
  reports: readonly CallReport[],
  media: readonly FlowReport[],
  isInside: (address: Address) => boolean,
): SeenCall[] {
  const meaningOf = createMeanings(reports, media, isInside);
  return reports.map((report) => seenCall(report, meaningOf));
}

/** NAT and media hosts that calls ask for. */
function namedFor(calls: readonly SeenCall[]): {
  readonly nat: readonly NatMapping[];
  readonly mediaHosts: readonly Network[];
} {
  const needed = calls.flatMap((call) => call.needed);
  const externals = new Map<Address, Set<Address>>();
  const hosts = new Set<Address>();
  for (const { owner, host, announced } of needed) {
    if (announced !== host) externals.set(announced, (externals.get(announced) ?? new Set()).add(host));
    else if (host !== owner) hosts.add(host);
  }
  return {
    nat: [...externals].map(([external, behind]) => ({
      external: { address: external },
      hosts: [...behind].map((host) => parseNetwork(host)!),
      translation: null,
      arrivesAt: null,
    })),
    mediaHosts: [...hosts].map((host) => parseNetwork(host)!),
  };
}

function settingsOf(lines: readonly Line[]): Settings | null {
  if (lines.length === 0) return null;
  const loaded = loadConfig(annotated([], lines, []), 'learned');
  if (loaded.ok) return loaded.settings;
  throw new Error(
    `what was learned is no configuration: ${loaded.problems.map(({ message }) => message).join('; ')}`,
  );
}
