import type { FirewallControl, LastCounts } from '../firewall/firewall.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';

/**
 * Has the packet filter retire states: at once, unless that was done a moment ago, since it walks all states and takes a
 * core. What comes meanwhile is gathered. When the filter refuses, it is asked again.
 *
 * The states of closed pinholes are retired quickly at first, and once more a little later: a phone sends a packet or two after
 * its BYE or its 200, and where inside hosts may send, that makes a state by which the outside party's media gets in as replies.
 */
interface Retirer {
  closed(pinholes: readonly Pinhole[]): void;
  /** Those of them that bring a translation: states from before them go. */
  opened(pinholes: readonly Pinhole[]): void;
  uncounted(pinholes: readonly Pinhole[]): void;
  /** Retires what is waiting, and for good what was retired in part, now. */
  flush(): void;
  end(): void;
}

interface RetirerDeps {
  readonly firewall: Pick<FirewallControl, 'retire'>;
  /** Takes what closed pinholes had passed. */
  readonly counted: (counts: LastCounts) => void;
  readonly complain: (text: string) => void;
  /** ms of a clock that never runs backwards. */
  readonly clock?: () => number;
}

/**
 * Least ms between two walks, and how many times what the last one took: what has closed is shut to the last party within
 * 100 ms as long as a walk takes a third of that. Who has the state table filled makes walks longer, and must not gain more.
 */
const REST = 20;
const REST_TIMES = 2;
/** The same for what hosts had on the way. */
const LATER_REST_TIMES = 9;
const AGAIN = 200;
const TRIES = 10;
/** ms after the end of a call in which its hosts may still send what they had on the way. */
const STRAGGLERS = 1000;

export function createRetirer({
  firewall,
  counted,
  complain,
  clock = () => performance.now(),
}: RetirerDeps): Retirer {
  const waiting = { closed: [] as Pinhole[], opened: [] as Pinhole[], uncounted: [] as Pinhole[] };
  let freeAt = 0;
  let tries = 0;
  let timer: NodeJS.Timeout | null = null;
  /** What was retired, and when to do that once more, in the order of that. */
  let ended: { readonly pinholes: readonly Pinhole[]; readonly at: number; readonly isPartial: boolean }[] =
    [];
  let stragglers: NodeJS.Timeout | null = null;

  function add(which: keyof typeof waiting, pinholes: readonly Pinhole[]): void {
    if (pinholes.length === 0) return;
    waiting[which].push(...pinholes);
    if (timer !== null) return;
    const wait = freeAt - clock();
    if (wait <= 0) retireQuickly();
    else timer = setTimeout(retireQuickly, wait);
  }

  function retireQuickly(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const { closed, opened, uncounted } = waiting;
    if (closed.length + opened.length + uncounted.length === 0) return;
    const startedAt = clock();
    let isPartial = false;
    try {
      const retired = firewall.retire({ closed, quickly: true, opened, uncounted });
      isPartial = retired.isPartial === true;
      counted(retired.counts);
    } catch (error) {
      if (++tries < TRIES) {
        timer = setTimeout(retireQuickly, AGAIN);
        return;
      }
      complain(`states of ${closed.length} closed pinholes may be left: ${(error as Error).message}`);
    }
    const now = clock();
    freeAt = now + Math.max(REST, REST_TIMES * (now - startedAt));
    tries = 0;
    for (const which of ['closed', 'opened', 'uncounted'] as const) waiting[which] = [];
    if (closed.length === 0) return;
    ended.push({ pinholes: closed, at: now + STRAGGLERS, isPartial });
    stragglers ??= setTimeout(retireStragglers, STRAGGLERS);
  }

  function flush(): void {
    retireQuickly();
    try {
      retireForGood(ended.filter(({ isPartial }) => isPartial));
    } catch (error) {
      complain(`states of pinholes closed a moment ago may be left: ${(error as Error).message}`);
    }
  }

  /** What these had passed was told when they were retired first. */
  function retireForGood(some: typeof ended): void {
    if (some.length > 0) firewall.retire({ closed: some.flatMap(({ pinholes }) => pinholes) });
  }

  function retireStragglers(): void {
    const startedAt = clock();
    let done = startedAt;
    try {
      retireForGood(ended.filter(({ at }) => at <= startedAt));
    } catch {
      done -= TRIES * AGAIN;
    }
    ended = ended.filter(({ at }) => at > done);
    const now = clock();
    const wait = Math.max(AGAIN, LATER_REST_TIMES * (now - startedAt), (ended[0]?.at ?? now) - now);
    stragglers = ended.length === 0 ? null : setTimeout(retireStragglers, wait);
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
      if (stragglers !== null) clearTimeout(stragglers);
    },
  };
}
