/** Who waits for which place, until it is free. */
interface WaitingList<T> {
  wait(who: T, place: string): void;
  /** Waits for nothing any more. */
  leave(who: T): void;
  /** Those that waited for one of these, in the order in which they came; they wait no longer. */
  take(places: readonly string[]): readonly T[];
}

export function createWaitingList<T>(): WaitingList<T> {
  const byPlace = new Map<string, Set<T>>();
  const placesOf = new Map<T, Set<string>>();

  function leave(who: T): void {
    if (placesOf.size === 0) return;
    for (const place of placesOf.get(who) ?? []) {
      const others = byPlace.get(place)!;
      others.delete(who);
      if (others.size === 0) byPlace.delete(place);
    }
    placesOf.delete(who);
  }

  return {
    wait(who, place) {
      byPlace.set(place, (byPlace.get(place) ?? new Set()).add(who));
      placesOf.set(who, (placesOf.get(who) ?? new Set()).add(place));
    },
    leave,
    take(places) {
      if (byPlace.size === 0) return [];
      const found = new Set(places.flatMap((place) => [...(byPlace.get(place) ?? [])]));
      for (const one of found) leave(one);
      return [...found];
    },
  };
}
