import type { SeenMedia } from '../traffic.ts';

/** Which media was seen here that others have to be told of. Times are in ms. */
interface MediaNews {
  seen(seen: readonly SeenMedia[]): void;
  /** What is to be told at `now`, an id each with a letter for the way before it: `seenMedia` reads it. */
  due(now: number): readonly string[];
  /** Forgets what was seen. */
  clear(): void;
}

/** ms between two tellings of media that goes on, and of such as was not seen lately: another member may wait for its first. */
const GOES_ON = 10_000;
const BEGINS = 1000;
const WAYS = { came: 'c', sent: 's', untold: 'u' } as const;
const LONGEST_ID = 256;

export function createMediaNews(): MediaNews {
  const media = new Set<string>();
  /** What of it was not told of since the last round but one. */
  const begun = new Set<string>();
  let told = new Set<string>();
  let toldBefore = new Set<string>();
  let roundAt = Number.NEGATIVE_INFINITY;
  let begunAt = Number.NEGATIVE_INFINITY;

  function round(now: number): readonly string[] {
    roundAt = now + GOES_ON;
    const all = [...media];
    toldBefore = told;
    told = new Set(all);
    media.clear();
    begun.clear();
    return all;
  }

  return {
    seen(seen) {
      for (const [id, way] of seen) {
        const text = `${WAYS[way]}${id}`;
        media.add(text);
        if (!told.has(text) && !toldBefore.has(text)) begun.add(text);
      }
    },
    due(now) {
      if (now >= roundAt) return round(now);
      if (now < begunAt || begun.size === 0) return [];
      begunAt = now + BEGINS;
      const first = [...begun];
      for (const text of first) {
        told.add(text);
        media.delete(text);
      }
      begun.clear();
      return first;
    },
    clear() {
      media.clear();
      begun.clear();
    },
  };
}

/** What another member has seen, as it told it. */
export function seenMedia(pinholes: readonly string[]): SeenMedia[] {
  return pinholes.flatMap((text): SeenMedia[] => {
    const way = text.startsWith('c') ? 'came' : text.startsWith('s') ? 'sent' : 'untold';
    return text.length < 2 || text.length > LONGEST_ID ? [] : [[text.slice(1), way]];
  });
}
