import type { DeliveryCounts } from "./delivery-checker.ts";

/** Sums over all readers and channels of a run. */
export interface DeliveryVerdict extends DeliveryCounts {
  /** Subscriptions of all readers. */
  subscriptions: number;
  /** Subscriptions that were never acknowledged. */
  neverSubscribed: number;
  /** Readers' copies of boards, and how many of them differ from the gateway's. */
  boards: number;
  wrongBoards: number;
  /** Descriptions of the first failures. */
  examples: string[];
}

const maxExamples = 20;

export const emptyVerdict = (): DeliveryVerdict => ({
  subscriptions: 0,
  neverSubscribed: 0,
  expected: 0,
  arrived: 0,
  lost: 0,
  reported: 0,
  repeated: 0,
  reordered: 0,
  duplicated: 0,
  gaps: 0,
  boards: 0,
  wrongBoards: 0,
  examples: [],
});

/** Adds the counts of one subscription. */
export function addCounts(verdict: DeliveryVerdict, name: string, reading: DeliveryCounts, hasBegun: boolean): void {
  verdict.subscriptions += 1;
  if (!hasBegun) verdict.neverSubscribed += 1;
  for (const key of Object.keys(reading) as (keyof DeliveryCounts)[]) verdict[key] += reading[key];
  const troubles = (["lost", "reported", "repeated", "reordered", "duplicated", "gaps"] as const)
    .filter((key) => reading[key] > 0)
    .map((key) => `${reading[key]} ${key}`);
  if (troubles.length > 0) addExample(verdict, `${name}: ${troubles.join(", ")}`);
}

export function addExample(verdict: DeliveryVerdict, example: string): void {
  if (verdict.examples.length < maxExamples) verdict.examples.push(example);
}

/** Combines the verdicts of all workers. */
export function sumVerdicts(verdicts: readonly DeliveryVerdict[]): DeliveryVerdict {
  const sum = emptyVerdict();
  for (const { examples, ...counts } of verdicts) {
    for (const [key, count] of Object.entries(counts)) sum[key as keyof typeof counts] += count;
    for (const example of examples) addExample(sum, example);
  }
  return sum;
}
