/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export type Random = () => number;

export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** One generator per purpose, so that drawing more for one does not change the others (FNV-1a). */
export function seededFor(seed: number, purpose: string): Random {
  let hash = 0x811c9dc5 ^ seed;
  for (let at = 0; at < purpose.length; at += 1) hash = Math.imul(hash ^ purpose.charCodeAt(at), 0x01000193);
  return seeded(hash);
}

export const below = (random: Random, bound: number): number => Math.floor(random() * bound);

/** Fisher–Yates shuffle, in place. */
export function shuffle<T>(items: T[], random: Random): T[] {
  for (let last = items.length - 1; last > 0; last -= 1) {
    const other = below(random, last + 1);
    [items[last], items[other]] = [items[other] as T, items[last] as T];
  }
  return items;
}
