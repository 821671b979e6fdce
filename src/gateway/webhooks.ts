import type { LifecycleHooks } from "../connections/lifecycle.ts";
import type { ConnectionHooks } from "../connections/connection-hooks.ts";
import { Webhooks } from "../webhooks/webhooks.ts";
import type { NodeContext } from "./node-context.ts";

/** Undefined if no webhooks are configured. */
export function createWebhooks({
  config,
  store,
  control,
  metrics,
  spans,
  clock,
  log,
}: NodeContext): Webhooks | undefined {
  if (config.webhooks.length === 0) return undefined;
  const { commands, keys } = store;
  const incarnation = (): string => control.incarnation;
  const mayWrite = (): boolean => control.fence.isOpen;
  const webhooks = new Webhooks(
    { commands, keys, incarnation, mayWrite, metrics, spans, clock, log },
    { endpoints: config.webhooks },
  );
  control.onDeadNode((node) => webhooks.nodeDied(node));
  control.fence.onReopened(() => webhooks.rewriteAll());
  store.feed.onRestored(() => webhooks.rewriteAll());
  return webhooks;
}

/** Connection hooks that also notify webhooks. */
export function withWebhooks(
  hooks: ConnectionHooks,
  webhooks: Webhooks | undefined,
): Required<Omit<LifecycleHooks, "timestampOf">> {
  return {
    onConnect(connection, arrival) {
      // First, because `onDisconnect` is called even if the rest fails.
      webhooks?.connectionChanged(connection.identity, true);
      return hooks.connected(connection, arrival);
    },
    onDisconnect(connection, reason, mayReturn) {
      webhooks?.connectionChanged(connection.identity, false);
      return hooks.disconnected(connection, mayReturn, reason);
    },
  };
}
