import type { Call } from '../call/call.ts';
import type { Refusal, RefusalReason } from '../call/refusal.ts';
import type { Wanted } from '../call/wanted.ts';
import { fnv1a } from '../hash.ts';
import { nameOf, type RefusedTransport } from './happening.ts';
import { introduce, tell, type Work } from './inspection.ts';
import type { Notice } from './news.ts';
import { count } from './stats.ts';

/** Counts refusals and tells of them; of one call each once. */
export interface Refusals {
  /** `call` is null where it is of none, `wanted` where a whole message or description was refused. `at`: ms. */
  tell(work: Work, call: Call | null, refusal: Refusal, at: number, wanted?: Wanted | null): void;
  /** What is of no call: told of where it is news, else counted. */
  say(work: Work, notice: Notice): void;
  /** Whether this call was refused something for this reason. */
  had(call: Call, reason: RefusalReason): boolean;
  /** All reasons for which it was refused something. */
  reasonsOf(call: Call): readonly RefusalReason[];
  forget(call: Call): void;
}

/**
 * What was refused of a call, each once. Hashes of the words, which would take more memory than the call itself; lists, as most
 * have one item.
 */
interface Refused {
  readonly hashes: number[];
  readonly reasons: RefusalReason[];
}

const NO_REASONS: readonly RefusalReason[] = [];

const MAX_REFUSALS_OF_CALL = 64;

export function createRefusals(counts: Map<RefusalReason, number>): Refusals {
  const before = new WeakMap<Call, Refused>();

  function isNews(call: Call, { reason, detail }: Refusal): boolean {
    const hash = fnv1a(detail, fnv1a(reason));
    const refused = before.get(call);
    if (refused === undefined) {
      before.set(call, { hashes: [hash], reasons: [reason] });
      return true;
    }
    const { hashes, reasons } = refused;
    if (hashes.length >= MAX_REFUSALS_OF_CALL || hashes.includes(hash)) return false;
    hashes.push(hash);
    if (!reasons.includes(reason)) reasons.push(reason);
    return true;
  }

  function tellRefusal(
    work: Work,
    call: Call | null,
    refusal: Refusal,
    at: number,
    wanted: Wanted | null = null,
  ): void {
    if (call !== null && !isNews(call, refusal)) return;
    count(counts, refusal.reason);
    if (call !== null) introduce(work, call);
    const name = call === null ? null : nameOf(call);
    tell(work, { type: 'refused', call: name, refusal, transport: transportOf(wanted), at });
  }

  return {
    tell: tellRefusal,
    say(work, notice) {
      if (notice.isNews) tellRefusal(work, null, notice.refusal, work.now);
      else count(counts, notice.refusal.reason);
    },
    had: (call, reason) => before.get(call)?.reasons.includes(reason) === true,
    reasonsOf: (call) => before.get(call)?.reasons ?? NO_REASONS,
    forget: (call) => before.delete(call),
  };
}

function transportOf(wanted: Wanted | null): RefusedTransport | null {
  if (wanted === null) return null;
  const { owner, connection, ports, protocol, peer, slot, candidate } = wanted;
  const address = connection.kind === 'address' ? connection.address : null;
  return { owner, address, ports, protocol, peer, slot, candidate };
}
