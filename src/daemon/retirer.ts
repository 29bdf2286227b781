import type { FirewallControl, LastCounts } from '../firewall/firewall.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';

/**
 * Has the packet filter retire states: at once, unless that was done a moment ago, since it walks all states and takes a
 * core. What comes meanwhile is gathered. When the filter refuses, it is asked again.
 */
export interface Retirer {
  closed(pinholes: readonly Pinhole[]): void;
  /** Those of them that bring a translation: states from before them go. */
  opened(pinholes: readonly Pinhole[]): void;
  uncounted(pinholes: readonly Pinhole[]): void;
  /** Retires what is waiting, now. */
  flush(): void;
  end(): void;
}

export interface RetirerDeps {
  readonly firewall: Pick<FirewallControl, 'retire'>;
  /** Takes what closed pinholes had passed. */
  readonly counted: (counts: LastCounts) => void;
  readonly complain: (text: string) => void;
}

/** Least ms between two walks, and how many times what the last one took. */
const REST = 20;
const REST_TIMES = 9;
const AGAIN = 200;
const TRIES = 10;

export function createRetirer({ firewall, counted, complain }: RetirerDeps): Retirer {
  const waiting = { closed: [] as Pinhole[], opened: [] as Pinhole[], uncounted: [] as Pinhole[] };
  let freeAt = 0;
  let tries = 0;
  let timer: NodeJS.Timeout | null = null;

  function add(which: keyof typeof waiting, pinholes: readonly Pinhole[]): void {
    if (pinholes.length === 0) return;
    waiting[which].push(...pinholes);
    if (timer !== null) return;
    const wait = freeAt - performance.now();
    if (wait <= 0) flush();
    else timer = setTimeout(flush, wait);
  }

  function flush(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const { closed, opened, uncounted } = waiting;
    if (closed.length + opened.length + uncounted.length === 0) return;
    const startedAt = performance.now();
    try {
      counted(firewall.retire({ closed, opened, uncounted }).counts);
    } catch (error) {
      if (++tries < TRIES) {
        timer = setTimeout(flush, AGAIN);
        return;
      }
      complain(`states of ${closed.length} closed pinholes may be left: ${(error as Error).message}`);
    }
    const now = performance.now();
    freeAt = now + Math.max(REST, REST_TIMES * (now - startedAt));
    tries = 0;
    for (const which of ['closed', 'opened', 'uncounted'] as const) waiting[which] = [];
  }

  return {
    closed: (pinholes) => add('closed', pinholes),
    opened: (pinholes) =>
      add(
        'opened',
        pinholes.filter(({ direction, translation }) => direction === 'in' && translation?.by === 'pinhole'),
      ),
    uncounted: (pinholes) => add('uncounted', pinholes),
    flush,
    end() {
      if (timer !== null) clearTimeout(timer);
    },
  };
}
