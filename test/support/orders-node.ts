import { randomUUID } from "node:crypto";
import { inject, onTestFinished } from "vitest";
import { createKinds } from "../../src/channels/kinds.ts";
import type { OrdersOptions } from "../../src/orders/order-options.ts";
import { Orders, type OrderControlCommand } from "../../src/orders/orders.ts";
import type { RefusedOrderEvent } from "../../src/orders/outbox.ts";
import { createRedisConnections, type RedisConnections } from "../../src/redis/connections.ts";
import { createKeys, type Keys } from "../../src/redis/keys.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { transitions } from "./order-stories.ts";
import { quietLog } from "./world.ts";

/** Orders of one node on real Redis. */
export interface OrdersNode {
  orders: Orders;
  redis: RedisConnections;
  keys: Keys;
  refused: RefusedOrderEvent[];
}

export interface OrdersNodeOptions extends Partial<OrdersOptions> {
  prefix: string;
  /** Throws to simulate an unavailable dead-letter store. */
  deadLetter?: (refused: RefusedOrderEvent) => Promise<void>;
  /** Called with each control command; every node has performed it when this resolves. */
  onCommand?: (command: OrderControlCommand) => Promise<void>;
}

const kinds = createKinds({});

export async function startOrdersNode({
  prefix,
  deadLetter,
  onCommand,
  ...options
}: OrdersNodeOptions): Promise<OrdersNode> {
  const redis = createRedisConnections({
    address: { topology: "single", url: inject("redisUrl") },
    nodeId: randomUUID(),
    log: quietLog,
  });
  const keys = createKeys(prefix);
  const refused: RefusedOrderEvent[] = [];
  const orders = new Orders(
    {
      commands: redis.connection("commands"),
      keys,
      isCluster: false,
      historyOf: (channel) => kinds.of(channel).history,
      deadLetter: deadLetter ?? (async (letter) => void refused.push(letter)),
      removeSubscription: () => undefined,
      async command(command) {
        await onCommand?.(command);
        return { count: 0, nodes: 2, acknowledged: 2 };
      },
      nodeCount: () => 2,
      clock: systemClock,
      log: quietLog,
    },
    { transitions, ...options },
  );
  onTestFinished(async () => {
    await orders.stop();
    await redis.close();
  });
  await redis.ready(60_000);
  orders.start();
  return { orders, redis, keys, refused };
}
