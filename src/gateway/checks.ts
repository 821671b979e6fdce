import type { Fence } from "../cluster/fence.ts";
import type { Check, CheckResult } from "../http/readiness.ts";
import type { WorkerContext } from "./worker-context.ts";
import type { Store } from "./store.ts";

/** The checks of `/readyz`. */
export function createChecks(
  { redis, commands, probe, check }: Pick<Store, "redis" | "commands" | "probe" | "check">,
  fence: Fence,
  { worker, isDraining }: { worker: WorkerContext | undefined; isDraining: () => boolean },
): Record<string, Check> {
  return {
    ...(worker !== undefined && { workers: () => workersOf(worker) }),
    store: () => check.result,
    redis: async () => {
      const { refusal } = redis.availability;
      if (refusal !== undefined) return { status: "failing", note: `Redis refuses writes: ${refusal}` };
      const why = redis.availability.diagnosis?.why;
      if (why !== undefined) return { status: "failing", note: `Redis cannot be used: ${why}` };
      const answer = await commands.ping().catch(() => undefined);
      return answer === "PONG" ? { status: "ok" } : { status: "failing", note: "Redis does not answer" };
    },
    feed: () => (probe.isHealthy ? { status: "ok" } : { status: "failing", note: "the pub/sub probe does not arrive" }),
    cluster: () =>
      fence.isOpen ? { status: "ok" } : { status: "failing", note: "no heartbeat was confirmed by Redis" },
    draining: () => (isDraining() ? { status: "failing", note: "this node is draining" } : { status: "ok" }),
  };
}

/**
 * The running workers take over the load, and replacements are starting, so clients need not be sent to another
 * machine.
 */
function workersOf(worker: WorkerContext): CheckResult {
  const running = worker.running();
  if (running >= worker.count) return { status: "ok" };
  return { status: "degraded", note: `${running} of ${worker.count} workers are running` };
}
