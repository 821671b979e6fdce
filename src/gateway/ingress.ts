import type { Revocations } from "../auth/revocations.ts";
import type { Channels } from "../channels/channels.ts";
import type { Kinds } from "../channels/kinds.ts";
import type { Control } from "../cluster/control.ts";
import type { Config } from "../config.ts";
import type { Leaderboards } from "../leaderboards/leaderboards.ts";
import { createTransitionTable } from "../orders/transitions.ts";
import { Orders, type OrdersDeps } from "../orders/orders.ts";
import { closing } from "../protocol/closings.ts";
import { canonicalJson } from "../protocol/gate.ts";
import { createDeadCommandStore } from "../commands/dead-command-store.ts";
import { createCommandIngress, type CommandIngress } from "../commands/command-ingress.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Authentication } from "./authentication.ts";
import type { Store } from "./store.ts";

export interface OrderServiceDeps {
  store: Store;
  kinds: Kinds;
  clock: Clock;
  log: Logger;
}

interface OrderParts extends OrderServiceDeps, Pick<OrdersDeps, "notifyStatus" | "removeSubscription"> {
  control: Control;
}

/** Orders, and the dead letters of events that could not be applied. */
export function createOrders(
  config: Config,
  { store, kinds, notifyStatus, removeSubscription, control, clock, log }: OrderParts,
) {
  const deadLetters = createDeadCommandStore(store);
  const orders = new Orders(
    {
      ...store,
      historyOf: (channel) => kinds.of(channel).history,
      deadLetter: (refused) => deadLetters.add({ ...refused, tries: 1 }),
      notifyStatus,
      removeSubscription,
      command: (command) => control.command({ ...command }),
      clock,
      log,
    },
    { ...config.orders, idempotencyTtlSeconds: config.idempotency.ttlSeconds },
  );
  return { orders, deadLetters };
}

export interface IngressDeps extends OrderServiceDeps, ReturnType<typeof createOrders> {
  channels: Channels;
  leaderboards: Leaderboards;
  logouts: Authentication["logouts"];
  revocations: Revocations;
  metrics: Metrics;
}

/** Commands of backends, and the interfaces over Redis that accept them. */
export function createIngress(config: Config, deps: IngressDeps): CommandIngress {
  const { store, leaderboards, logouts, revocations } = deps;
  return createCommandIngress(
    {
      ...deps,
      ...store,
      blocking: store.redis.connection("blocking"),
      bridges: store.redis.connection("bridges"),
      nodeId: config.nodeId,
      isOrderStatus: createTransitionTable(config.orders.transitions).isKnown,
      submitScore: ({ board, member, score, mode, data, idempotencyKey }) => {
        const text = data === undefined ? undefined : canonicalJson(data);
        return leaderboards.submit(board, { member, score, mode, data: text }, idempotencyKey);
      },
      revokeSession: (sessionId) => logouts.session(sessionId),
      disconnectUser: ({ userId, code = "disconnected_by_backend", ...words }) =>
        revocations.disconnectUser(userId, closing(code, words)),
    },
    {
      bridges: config.bridges,
      payloadBytes: config.limits.payloadBytes,
      stream: config.commands,
      idempotency: { ttlSeconds: config.idempotency.ttlSeconds },
    },
  );
}
