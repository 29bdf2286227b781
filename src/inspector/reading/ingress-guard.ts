import type { Address } from '../../address/address.ts';
import { createIngressJudge, type Entered, type Ingress } from '../../address/ingress.ts';
import type { PacketView } from '../../packet/ip.ts';
import { createNews, type Notice } from '../news.ts';

/** The addresses of a packet. */
type Ends = Pick<PacketView, 'source' | 'destination'>;

/** Refuses packets that bear an inside host's address and did not come in from inside. */
interface IngressGuard {
  /** The interfaces are these from now on; null: not known, and addresses alone have to do. */
  learn(ingress: Ingress | null): void;
  /** Why the packet is not to be read, by name; null when it may be. Undefined: where it came in is not known. */
  fault(ends: Ends, entered: Entered | undefined): IngressFault | null;
  /** What to say of a packet with such a fault. */
  refuse(fault: IngressFault, ends: Ends, entered: Entered | undefined, now: number): Notice;
}

/**
 * `unknown-interface`: both addresses are inside ones. A packet from anywhere in the world comes here with these, and its
 * answer as well; one between an inside and an outside address is not sent here from afar in both directions.
 */
export type IngressFault = 'spoofed-inside' | 'unknown-interface';

export function createIngressGuard(isInside: (address: Address) => boolean): IngressGuard {
  let ingress: Ingress | null = null;
  let judge = createIngressJudge(null);
  const isNews = createNews();

  function isKnown(entered: Entered | undefined): boolean {
    return entered === null || (entered !== undefined && ingress?.meant.has(entered) === true);
  }

  function fault({ source, destination }: Ends, entered: Entered | undefined): IngressFault | null {
    if (!isInside(source)) return null;
    if (!isKnown(entered)) return isInside(destination) ? 'unknown-interface' : null;
    return entered != null && judge(source, entered) === 'spoofed' ? 'spoofed-inside' : null;
  }

  function detailOf(
    found: IngressFault,
    { source, destination }: Ends,
    entered: Entered | undefined,
  ): string {
    if (found === 'unknown-interface') return `from ${source} to ${destination}`;
    const [name = entered] = entered == null ? [] : (ingress?.meant.get(entered) ?? []);
    return `from ${source}, which cannot have come in through ${name}`;
  }

  function refuse(reason: IngressFault, ends: Ends, entered: Entered | undefined, now: number): Notice {
    const detail = detailOf(reason, ends, entered);
    return { refusal: { reason, detail }, isNews: isNews(detail, now) };
  }

  return {
    learn(next) {
      ingress = next;
      judge = createIngressJudge(next);
    },
    fault,
    refuse,
  };
}
