import { networkSet } from '../../address/network.ts';
import { derived } from '../../inspector/settings.ts';
import type { HeldPacket } from '../../intercept/interceptor.ts';
import { type CopiesDeps, createCopies } from './copies.ts';
import type { DataPathDeps } from './deps.ts';
import { createHolding } from './holding.ts';

interface ArrivalsDeps extends Pick<CopiesDeps, 'inspector' | 'settings' | 'clock' | 'done' | 'unexpected'> {
  readonly interceptor: DataPathDeps['ends']['interceptor'];
  readonly copies: DataPathDeps['copies'];
}

/** Packets, and what hosts mirror of those that cannot be read: the copies first. */
export function createArrivals({ interceptor, copies: mirrored, ...deps }: ArrivalsDeps) {
  const { settings, clock } = deps;
  const isMirrored = derived(settings, ({ hep }) => networkSet([...hep.from, ...hep.speaksFor]));
  const holding = createHolding({
    interceptor,
    longest: () => (mirrored === undefined ? null : settings().holdEncrypted),
    isMirrored: (address) => isMirrored()(address),
  });
  const copies =
    mirrored === undefined ? null : createCopies({ ...deps, ...mirrored, copied: holding.copied });

  /** Waits for at most `timeout` ms for packets; copies end the wait as well. */
  function wait(timeout: number): readonly HeldPacket[] {
    if (copies === null || interceptor.descriptors === undefined) return interceptor.receive(timeout);
    const packets = interceptor.receive(0);
    if (packets.length > 0 || timeout === 0) return packets;
    copies.wait(interceptor.descriptors, timeout);
    return interceptor.receive(0);
  }

  return {
    /** Packets that may pass now. `inherited`: those that the data path before this one had at hand. */
    receive(timeout: number, inherited: readonly HeldPacket[] = []): readonly HeldPacket[] {
      const packets = inherited.length > 0 ? inherited : wait(timeout);
      copies?.take();
      return holding.sift(packets, clock());
    },
    due: holding.due,
    /** Everything that waits for a copy. */
    empty: holding.empty,
    counters: holding.counters,
    close: () => copies?.close(),
  };
}

export type Arrivals = ReturnType<typeof createArrivals>;
