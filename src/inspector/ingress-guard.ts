import type { Address } from '../address/address.ts';
import { createIngressJudge, type Entered, type Ingress } from '../address/ingress.ts';
import type { Refusal } from '../call/refusal.ts';
import { createNews } from './news.ts';

interface SpoofedRefusal {
  readonly refusal: Refusal;
  /** False where the same was said within the last minute. */
  readonly isNews: boolean;
}

/** Refuses packets that bear an inside host's address and did not come in from inside. */
interface IngressGuard {
  /** The interfaces are these from now on; null: not known, and addresses alone have to do. */
  learn(ingress: Ingress | null): void;
  isSpoofed(source: Address, entered: Entered): boolean;
  /** What to say of a spoofed packet. */
  refuse(source: Address, entered: Entered, now: number): SpoofedRefusal;
}

export function createIngressGuard(isInside: (address: Address) => boolean): IngressGuard {
  let ingress: Ingress | null = null;
  let judge = createIngressJudge(null);
  const isNews = createNews();

  function refuse(source: Address, entered: Entered, now: number): SpoofedRefusal {
    const names = (entered === null ? undefined : ingress?.meant.get(entered)) ?? [];
    const detail = `from ${source}, which cannot have come in through ${names[0] ?? entered}`;
    return { refusal: { reason: 'spoofed-inside', detail }, isNews: isNews(detail, now) };
  }

  return {
    learn(next) {
      ingress = next;
      judge = createIngressJudge(next);
    },
    isSpoofed: (source, entered) =>
      entered !== null && isInside(source) && judge(source, entered) === 'spoofed',
    refuse,
  };
}
