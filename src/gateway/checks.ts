import type { Fence } from "../cluster/fence.ts";
import type { Check } from "../server/http/readiness.ts";
import type { Store } from "./store.ts";

/** What `/readyz` looks at. */
export function createChecks(
  { commands, canary, check }: Pick<Store, "commands" | "canary" | "check">,
  fence: Fence,
  isDraining: () => boolean,
): Record<string, Check> {
  return {
    store: () => check.result,
    redis: async () => ({ status: (await commands.ping()) === "PONG" ? "ok" : "failing" }),
    feed: () =>
      canary.isHeard ? { status: "ok" } : { status: "failing", note: "publications do not reach this node" },
    cluster: () => (fence.isOpen ? { status: "ok" } : { status: "failing", note: "no heartbeat confirmed" }),
    draining: () => (isDraining() ? { status: "failing", note: "this node is going away" } : { status: "ok" }),
  };
}
