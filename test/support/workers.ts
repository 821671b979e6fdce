import { inject } from "vitest";
import { startNodeProcess, type NodeProcess, type NodeProcessOptions } from "./node-process.ts";
import { eventually, freshPrefix } from "./world.ts";

/** A gateway of several workers behind one port, started as an operator would start it. */
export interface WorkersProcess extends NodeProcess {
  /** The process of each worker, by its number, as it is now. */
  pids(): Map<number, number>;
}

/** Starts two workers and waits until both are up. The caller stops them. */
export async function startWorkers({
  env = {},
  file,
}: Partial<Pick<NodeProcessOptions, "env" | "file">> = {}): Promise<WorkersProcess> {
  const common = { REDIS_URL: inject("redisUrl"), KEY_PREFIX: freshPrefix(), WORKERS: "2" };
  const node = await startNodeProcess({ nodeId: "lab", env: { ...common, ...env }, file });
  const workers = { ...node, pids: () => pidsIn(node.log()) };
  await eventually(() => {
    if (workers.pids().size < 2) throw new Error(`not all workers are up:\n${node.log()}`);
  }, 90_000);
  return workers;
}

/** The last that came up under each number. */
function pidsIn(log: string): Map<number, number> {
  const ups = log.matchAll(/"worker":(\d+),"pid":(\d+),"msg":"worker started"/g);
  return new Map([...ups].map(([, worker, pid]) => [Number(worker), Number(pid)]));
}

/** Whether a process of this machine is there; one that has ended and waits for its parent is not. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
