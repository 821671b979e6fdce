/** The known word nearest to a misspelled one, or undefined if none is within `limit` letters. */
export function nearest(
  word: string,
  known: readonly string[],
  limit = Math.max(1, Math.floor(word.length / 3)),
): string | undefined {
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(word.toLowerCase(), candidate.toLowerCase()) }))
    .toSorted((a, b) => a.distance - b.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= limit ? best.candidate : undefined;
}

/** `; did you mean X?`, or empty if no known word is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const suggestion = nearest(word.slice(0, maxWordLength), known);
  return suggestion === undefined ? "" : `; did you mean ${suggestion}?`;
}

/** The distance costs the product of both lengths. */
const maxWordLength = 64;

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const isSame = a[row - 1] === b[column - 1];
      const isSwap = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      const replaced = at(previous, column - 1) + (isSame ? 0 : 1);
      const swapped = isSwap ? at(beforePrevious, column - 2) + 1 : Infinity;
      current.push(Math.min(at(previous, column) + 1, at(current, column - 1) + 1, replaced, swapped));
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, b.length);
}

const at = (row: readonly number[], column: number): number => row[column] ?? Infinity;
