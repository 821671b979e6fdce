import type { ReadingVerdict } from "./reading.ts";

/** What a run showed, over all readers and channels. */
export interface Verdict extends ReadingVerdict {
  /** Readers times their channels. */
  readings: number;
  /** Of these, those that were never told that they read. */
  unread: number;
  /** Boards that readers hold, and how many of them are not as the gateway's. */
  boards: number;
  wrongBoards: number;
  /** The first troubles, in words. */
  examples: string[];
}

const mostExamples = 20;

export const emptyVerdict = (): Verdict => ({
  readings: 0,
  unread: 0,
  owed: 0,
  arrived: 0,
  lost: 0,
  told: 0,
  repeated: 0,
  reordered: 0,
  doubled: 0,
  holes: 0,
  boards: 0,
  wrongBoards: 0,
  examples: [],
});

/** Adds what became of one more reading. */
export function addReading(verdict: Verdict, name: string, reading: ReadingVerdict, hasBegun: boolean): void {
  verdict.readings += 1;
  if (!hasBegun) verdict.unread += 1;
  for (const key of Object.keys(reading) as (keyof ReadingVerdict)[]) verdict[key] += reading[key];
  const troubles = (["lost", "told", "repeated", "reordered", "doubled", "holes"] as const)
    .filter((key) => reading[key] > 0)
    .map((key) => `${reading[key]} ${key}`);
  if (troubles.length > 0) addExample(verdict, `${name}: ${troubles.join(", ")}`);
}

export function addExample(verdict: Verdict, example: string): void {
  if (verdict.examples.length < mostExamples) verdict.examples.push(example);
}

/** The verdicts of all workers as one. */
export function sumVerdicts(verdicts: readonly Verdict[]): Verdict {
  const sum = emptyVerdict();
  for (const { examples, ...counts } of verdicts) {
    for (const [key, count] of Object.entries(counts)) sum[key as keyof typeof counts] += count;
    for (const example of examples) addExample(sum, example);
  }
  return sum;
}
