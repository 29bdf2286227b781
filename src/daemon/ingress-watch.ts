import { type Ingress, insideInterfaces } from '../address/ingress.ts';

/** Follows which interfaces lead to inside hosts. */
export interface IngressWatch {
  /** What was found last; null: nothing yet, or the system cannot be asked. */
  readonly latest: Ingress | null;
  /** Looks now, and not again before its cost has become small beside the time between. */
  look(): void;
  end(): void;
}

interface IngressWatchOptions {
  /** Asks the system. Throws where it cannot; null where nothing can be known. */
  readonly read: (() => Ingress) | null;
  /** ms of a clock that never runs backwards. */
  readonly clock: () => number;
  readonly say: (level: 'info' | 'warn', text: string) => void;
  /** Called when something is not as before. */
  readonly changed: (ingress: Ingress) => void;
}

/** ms between two looks that nobody asked for, and how many times a look's cost is left alone after it. */
const EVERY = 30_000;
const REST = 20;
/** How often a look is tried again when interfaces or routes changed under it. */
const TRIES = 3;

/** Looks once at once, then time and again, off the data path. */
export function createIngressWatch({ read, clock, say, changed }: IngressWatchOptions): IngressWatch {
  let latest: Ingress | null = null;
  let known = '';
  let told = '';
  let complained = false;
  let freeAt = Number.NEGATIVE_INFINITY;
  let waiting: NodeJS.Timeout | null = null;

  function attempt(ask: () => Ingress): void {
    for (let tries = 1; ; tries++) {
      try {
        take(ask());
        complained = false;
        return;
      } catch (error) {
        if ((error as { code?: string }).code === 'EINTR' && tries < TRIES) continue;
        const reason = error instanceof Error ? error.message : String(error);
        if (!complained) say('warn', `interfaces and routes cannot be looked at: ${reason}`);
        complained = true;
        return;
      }
    }
  }

  function take(ingress: Ingress): void {
    const text = JSON.stringify({ ...ingress, meant: [...ingress.meant] });
    if (text === known) return;
    known = text;
    latest = ingress;
    const line = describeIngress(ingress);
    if (line !== told) say('info', line);
    told = line;
    changed(ingress);
  }

  function look(): void {
    if (read === null || waiting !== null) return;
    const now = clock();
    if (now < freeAt) {
      waiting = setTimeout(() => {
        waiting = null;
        look();
      }, freeAt - now);
      waiting.unref();
      return;
    }
    attempt(read);
    freeAt = clock() + (clock() - now) * REST;
  }

  look();
  const timer = setInterval(look, EVERY);
  timer.unref();
  return {
    get latest() {
      return latest;
    },
    look,
    end() {
      clearInterval(timer);
      if (waiting !== null) clearTimeout(waiting);
    },
  };
}

/** Networks named in one line at most. */
const MOST_NAMED = 4;

/** `inside hosts come in through em1 (10.0.0.0/8), wg0 (10.9.0.0/24)` */
function describeIngress(ingress: Pick<Ingress, 'named' | 'routes'>): string {
  const found = insideInterfaces(ingress).map(({ name, uplink, networks }) => {
    const more = networks.length > MOST_NAMED ? `, ${networks.length - MOST_NAMED} more` : '';
    const only = uplink && ingress.named.length === 0 ? 'only ' : '';
    const what = networks.length === 0 ? '' : ` (${only}${networks.slice(0, MOST_NAMED).join(', ')}${more})`;
    return `${name}${what}`;
  });
  return found.length === 0
    ? 'no route leads to an inside network: which interface packets come in through says nothing'
    : `inside hosts come in through ${found.join('; ')}`;
}
