import { appendFileSync } from "node:fs";
import { expect, onTestFinished, vi } from "vitest";
import type { Cluster } from "./cluster.ts";
import type { Verdict } from "./history-checker.ts";
import { startLoad, type Load, type LoadOptions } from "./load.ts";
import type { NodeProcess } from "./node-process.ts";
import { promised } from "./promised.ts";
import { eventually } from "./world.ts";

/** As long and as large as the promises say, by `npm run test:faults`; else short enough to run each time. */
export const isLong = process.env["FAULTS"] === "long";

// For every test of the files that use this.
vi.setConfig({ testTimeout: isLong ? 300_000 : 180_000 });

/** Each fault is repeated with each of these. */
export const seeds = (process.env["SEEDS"] ?? (isLong ? "1,2,3" : "1")).split(",").map(Number);

/** Milliseconds of a fault: what the promise says, or what shows the same in less time. */
export const lasting = (promisedMs: number, shortMs: number): number => (isLong ? promisedMs : shortMs);

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** What a fault did to those who publish and read. */
export interface Outcome {
  verdict: Verdict;
  /** From the fault's end until every reader had got something published after it. */
  flowingAgainMs: number;
  /** Connections that readers lost from the fault on. */
  disconnects: number;
  /** Publications refused for the time being, each to be repeated. */
  refusals: number;
  load: Load;
}

/** Puts a cluster under load, lets the fault happen, and waits until everybody has what they are owed. */
export async function underLoad(
  cluster: Cluster,
  options: LoadOptions,
  fault: (load: Load) => Promise<void>,
): Promise<Outcome> {
  const load = await startLoad(cluster, { readers: isLong ? 300 : 60, ...options });
  onTestFinished(() => load.stop());
  await pause(1_000);
  const before = disconnectsOf(load);
  await fault(load);
  const flowingAgainMs = await load.flows(promised(30_000));
  await pause(500);
  const verdict = await load.settle();
  const refusals = load.publishers.statuses.get(503) ?? 0;
  const outcome = { verdict, flowingAgainMs, disconnects: disconnectsOf(load) - before, refusals, load };
  report(cluster, outcome);
  return outcome;
}

const disconnectsOf = ({ readers }: Load): number => readers.reduce((sum, { disconnects }) => sum + disconnects, 0);

/** The promise of every fault: nothing lost, repeated or out of order, nothing unreported, and going on soon. */
export function expectWhole({ verdict, flowingAgainMs, load }: Outcome): void {
  const { acknowledged, delivered, ...faults } = verdict;
  // The examples come first where this fails: they name the reader, the place and the node.
  expect({ examples: load.history.examples, ...faults }).toEqual({
    examples: [],
    lost: 0,
    repeated: 0,
    reordered: 0,
    duplicated: 0,
    forked: 0,
    unreported: 0,
    reported: 0,
  });
  expect(acknowledged).toBeGreaterThan(100);
  expect(delivered).toBeGreaterThan(acknowledged);
  expect(flowingAgainMs).toBeLessThan(promised(5_000));
  expect(load.publishers.withoutRetryAfter).toBe(0);
}

/** Redis is no reason to disconnect anybody, nor to end. */
export function expectNobodyLeft({ nodes }: Cluster, { disconnects, load }: Outcome): void {
  const closings = load.readers.flatMap((reader) => reader.closings).slice(0, 3);
  expect({ disconnects, closings }).toEqual({ disconnects: 0, closings: [] });
  for (const node of nodes) expect(node.isRunning()).toBe(true);
}

/** Milliseconds until every node says that it is not ready. */
export async function untilUnready({ nodes }: Cluster): Promise<number> {
  const began = Date.now();
  await Promise.all(nodes.map((node) => eventually(async () => expect((await node.readiness()).status).toBe(503))));
  return Date.now() - began;
}

/** Until every node's lease has ended: from then on it knows that the store is away, and refuses at once. */
export async function untilLeasesEnd({ nodes }: Cluster): Promise<void> {
  const hasEnded = async (node: NodeProcess): Promise<void> => {
    const { body } = await node.readiness();
    expect(body.checks?.["cluster"]?.status).toBe("failing");
  };
  await Promise.all(nodes.map((node) => eventually(() => hasEnded(node))));
}

/** A line for whoever collects figures. */
function report({ topology }: Cluster, { verdict, flowingAgainMs, disconnects, refusals, load }: Outcome): void {
  const file = process.env["FAULT_REPORT"];
  if (file === undefined) return;
  const figures = { test: expect.getState().currentTestName, topology, readers: load.readers.length };
  appendFileSync(file, `${JSON.stringify({ ...figures, ...verdict, flowingAgainMs, disconnects, refusals })}\n`);
}
