import type { Orders } from "../../orders/orders.ts";
import {
  orderAnswer,
  orderCreateBody,
  orderEventAnswer,
  orderEventBody,
  orderParams,
  orderRemoved,
  orderSignalAnswer,
  orderSignalBody,
  ordersPage,
  ordersQuery,
  orderUpdateAnswer,
  orderUpdateBody,
  orderWithTimeline,
} from "../../protocol/orders.ts";
import type { CommandExecutor } from "../../commands/command-executor.ts";
import { route, type Route } from "../route.ts";

export interface OrderRouteDeps {
  executor: CommandExecutor;
  orders: Pick<Orders, "get" | "list" | "remove">;
}

/** The orders API. */
export function createOrderRoutes(deps: OrderRouteDeps): Route[] {
  return [
    createOrder(deps),
    listOrders(deps),
    readOrder(deps),
    updateOrder(deps),
    removeOrder(deps),
    applyEvent(deps),
    signal(deps),
  ];
}

function createOrder({ executor }: OrderRouteDeps): Route {
  const definition = {
    method: "post",
    performsCommands: true,
    path: "/v1/orders",
    operationId: "createOrder",
    tag: "Orders",
    summary: "Create an order.",
    description: "Creating it again with the same content returns the current order.",
    status: 201,
    refusals: ["conflict"],
    body: orderCreateBody,
    answer: orderAnswer,
  } as const;

  return route(definition, async ({ body, idempotencyKey, door }) => ({
    body: await executor.perform({ ...body, type: "order.create", idempotencyKey }, { door }),
  }));
}

function updateOrder({ executor }: OrderRouteDeps): Route {
  const definition = {
    method: "patch",
    performsCommands: true,
    path: "/v1/orders/{orderId}",
    operationId: "updateOrder",
    tag: "Orders",
    summary: "Change an order's parties or data.",
    description:
      "A party that was added may subscribe to the order at once, and has it in its list. A party that was removed has " +
      "lost its subscriptions, with `unsubscribed`, on every node that confirmed. The change is in the timeline, and is " +
      "published as `order.updated`.",
    refusals: ["not_found", "conflict", "payload_too_large"],
    params: orderParams,
    body: orderUpdateBody,
    answer: orderUpdateAnswer,
  } as const;

  return route(definition, async ({ params, body, idempotencyKey, door }) => {
    const command = { ...params, ...body, type: "order.update", idempotencyKey } as const;
    const { ended, ...answer } = await executor.perform(command, { door });
    return { body: answer, acted: ended };
  });
}

function listOrders({ orders }: OrderRouteDeps): Route {
  const definition = {
    method: "get",
    path: "/v1/orders",
    operationId: "listOrders",
    tag: "Orders",
    summary: "List orders, newest first, optionally of one user or with one status.",
    query: ordersQuery,
    answer: ordersPage,
  } as const;

  return route(definition, async ({ query }) => ({ body: await orders.list(query) }));
}

function removeOrder({ orders }: OrderRouteDeps): Route {
  const definition = {
    method: "delete",
    path: "/v1/orders/{orderId}",
    operationId: "removeOrder",
    tag: "Orders",
    summary: "Delete an order and everything stored about it.",
    description:
      "Its parties lose their subscriptions with `not_found`, and it leaves their lists with `order.removed`.",
    params: orderParams,
    answer: orderRemoved,
  } as const;

  return route(definition, async ({ params }) => ({ body: await orders.remove(params.orderId) }));
}

function applyEvent({ executor }: OrderRouteDeps): Route {
  const definition = {
    method: "post",
    performsCommands: true,
    path: "/v1/orders/{orderId}/events",
    operationId: "applyOrderEvent",
    tag: "Orders",
    summary: "Move an order to another status.",
    description:
      "An event that was already applied, or is older than the last one, is not applied. An event that arrives before " +
      "its predecessors returns `202` and is held until they arrive or the window ends. Another event with the " +
      "`sequence` of a held event replaces it.",
    otherStatuses: {
      202: "Held: the event waits for earlier events, or replaces the held event with the same sequence.",
    },
    refusals: ["not_found", "illegal_transition", "conflict"],
    params: orderParams,
    body: orderEventBody,
    answer: orderEventAnswer,
  } as const;

  return route(definition, async ({ params, body, idempotencyKey, door }) => {
    const answer = await executor.perform({ ...params, ...body, type: "order.event", idempotencyKey }, { door });
    const isWaiting = answer.reason === "held" || answer.reason === "replaced";
    return { status: isWaiting ? 202 : 200, body: answer };
  });
}

function signal({ executor }: OrderRouteDeps): Route {
  const definition = {
    method: "post",
    performsCommands: true,
    path: "/v1/orders/{orderId}/signals",
    operationId: "signalOrder",
    tag: "Orders",
    summary: "Send frequently changing values, such as a courier's position or an estimated arrival.",
    description:
      "Only the latest signal of each name is kept. Subscribers receive at most a few per second. Signals are not in the timeline.",
    refusals: ["not_found", "conflict"],
    params: orderParams,
    body: orderSignalBody,
    answer: orderSignalAnswer,
  } as const;

  return route(definition, async ({ params, body, idempotencyKey, door }) => ({
    body: await executor.perform({ ...params, ...body, type: "order.signal", idempotencyKey }, { door }),
  }));
}

function readOrder({ orders }: OrderRouteDeps): Route {
  const definition = {
    method: "get",
    path: "/v1/orders/{orderId}",
    operationId: "readOrder",
    tag: "Orders",
    summary: "Read an order and its timeline.",
    refusals: ["not_found"],
    params: orderParams,
    isRevalidated: true,
    answer: orderWithTimeline,
  } as const;

  return route(definition, async ({ params }) => ({ body: await orders.get(params.orderId) }));
}
