import type { Fence } from "../cluster/fence.ts";
import type { Check, CheckResult } from "../http/readiness.ts";
import type { Place } from "./place.ts";
import type { Store } from "./store.ts";

/** What `/readyz` looks at. */
export function createChecks(
  { redis, commands, probe, check }: Pick<Store, "redis" | "commands" | "probe" | "check">,
  fence: Fence,
  { place, isDraining }: { place: Place | undefined; isDraining: () => boolean },
): Record<string, Check> {
  return {
    ...(place !== undefined && { workers: () => workersOf(place) }),
    store: () => check.result,
    redis: async () => {
      const { refusal } = redis.availability;
      if (refusal !== undefined) return { status: "failing", note: `Redis refuses writes: ${refusal}` };
      return { status: (await commands.ping()) === "PONG" ? "ok" : "failing" };
    },
    feed: () => (probe.isHealthy ? { status: "ok" } : { status: "failing", note: "the pub/sub probe does not arrive" }),
    cluster: () =>
      fence.isOpen ? { status: "ok" } : { status: "failing", note: "no heartbeat was confirmed by Redis" },
    draining: () => (isDraining() ? { status: "failing", note: "this node is draining" } : { status: "ok" }),
  };
}

/** Those that are up do the work of all, and new ones are on their way: no reason to send clients to another machine. */
function workersOf(place: Place): CheckResult {
  const running = place.running();
  if (running >= place.count) return { status: "ok" };
  return { status: "degraded", note: `${running} of ${place.count} workers are running` };
}
