import type { Control } from "../cluster/control.ts";
import type { Config } from "../config.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { LifecycleHooks } from "../connections/lifecycle.ts";
import type { ConnectionHooks } from "../connections/connection-hooks.ts";
import { Webhooks } from "../webhooks/webhooks.ts";
import type { Store } from "./store.ts";

export interface WebhookParts {
  store: Store;
  control: Pick<Control, "incarnation" | "fence">;
  metrics: Metrics;
  clock: Clock;
  log: Logger;
}

/** Undefined if no webhooks are configured. */
export function createWebhooks(config: Config, parts: WebhookParts): Webhooks | undefined {
  if (config.webhooks.length === 0) return undefined;
  const { store, control } = parts;
  const webhooks = new Webhooks(
    {
      ...parts,
      ...store,
      incarnation: () => control.incarnation,
      mayWrite: () => control.fence.isOpen,
    },
    { endpoints: config.webhooks },
  );
  let name = control.incarnation;
  control.fence.onReopened(() => {
    if (name === control.incarnation) return;
    name = control.incarnation;
    webhooks.renamed();
  });
  return webhooks;
}

/** Connection hooks that also notify webhooks. */
export function withWebhooks(
  hooks: ConnectionHooks,
  webhooks: Webhooks | undefined,
): Required<Omit<LifecycleHooks, "stampOf">> {
  return {
    onConnect(connection, arrival) {
      // First, because `onDisconnect` is called even if the rest fails.
      webhooks?.connectionChanged(connection.identity, true);
      return hooks.connected(connection, arrival);
    },
    onDisconnect(connection, _reason, mayReturn) {
      webhooks?.connectionChanged(connection.identity, false);
      return hooks.disconnected(connection, mayReturn);
    },
  };
}
