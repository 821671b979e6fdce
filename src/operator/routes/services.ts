import type { CommandExecutor } from "../../commands/command-executor.ts";
import { route, type Route } from "../../http/route.ts";
import type { Leaderboards } from "../../leaderboards/leaderboards.ts";
import type { InspectedOrder } from "../../orders/inspection.ts";
import type { Orders } from "../../orders/orders.ts";
import { GatewayError } from "../../protocol/errors.ts";
import { boardMemberParams, boardParams, boardQuery, memberRemoved } from "../../protocol/leaderboards.ts";
import {
  operatorBoard,
  operatorOrder,
  operatorOrderEvent,
  operatorOrderParties,
  operatorPartiesAnswer,
} from "../../protocol/operator/operator-services.ts";
import { orderEventAnswer, orderParams } from "../../protocol/orders.ts";
import { seesPayloads, withoutData } from "./views.ts";

export interface OperatorServiceDeps {
  orders: Pick<Orders, "inspect">;
  leaderboards: Pick<Leaderboards, "top" | "seasons" | "remove">;
  executor: Pick<CommandExecutor, "perform">;
  showPayloads: boolean;
}

const common = { tag: "Operators" } as const;

/** Orders and boards: what operators see, and what an admin changes. */
export function createOperatorServiceRoutes(deps: OperatorServiceDeps): Route[] {
  return [readBoard(deps), removeMember(deps), readOrder(deps), applyEvent(deps), changeParties(deps)];
}

function readBoard({ leaderboards, showPayloads }: OperatorServiceDeps): Route {
  const definition = {
    ...common,
    method: "get",
    path: "/v1/operator/leaderboards/{board}",
    operationId: "readOperatorBoard",
    summary: "The entries of a board, its revision and its seasons.",
    access: "operator",
    refusals: ["not_found"],
    params: boardParams,
    query: boardQuery,
    answer: operatorBoard,
  } as const;
  return route(definition, async ({ params: { board }, query, role }) => {
    const [page, { seasons }] = await Promise.all([leaderboards.top(board, query), leaderboards.seasons(board)]);
    const entries = seesPayloads(role, showPayloads) ? page.entries : page.entries.map(withoutData);
    return { body: { ...page, entries, seasons } };
  });
}

function removeMember({ leaderboards }: OperatorServiceDeps): Route {
  const definition = {
    ...common,
    method: "delete",
    path: "/v1/operator/leaderboards/{board}/members/{member}",
    operationId: "operatorRemoveMember",
    summary: "Remove a member and its score from a board.",
    access: "admin",
    refusals: ["not_found"],
    params: boardMemberParams,
    answer: memberRemoved,
  } as const;
  return route(definition, async ({ params: { board, member } }) => ({
    body: { removed: await leaderboards.remove(board, member) },
  }));
}

function readOrder({ orders, showPayloads }: OperatorServiceDeps): Route {
  const definition = {
    ...common,
    method: "get",
    path: "/v1/operator/orders/{orderId}",
    operationId: "readOperatorOrder",
    summary: "An order with its timeline, held events, undelivered notifications and due checks.",
    access: "operator",
    refusals: ["not_found"],
    params: orderParams,
    answer: operatorOrder,
  } as const;
  return route(definition, async ({ params: { orderId }, role }) => {
    const found = await orders.inspect(orderId);
    if (found === undefined) throw new GatewayError("not_found", "No such order.", { field: "orderId" });
    return { body: seesPayloads(role, showPayloads) ? found : masked(found) };
  });
}

function masked({ order, timeline, ...rest }: InspectedOrder): object {
  const signals = Object.entries(order.signals).map(([name, { at }]) => [name, { at }]);
  return {
    ...rest,
    order: { ...withoutData(order), signals: Object.fromEntries(signals) },
    timeline: timeline.map(({ update, ...entry }) => ({
      ...withoutData(entry),
      ...(update === undefined ? {} : { update: { ...(update.parties && { parties: update.parties }) } }),
    })),
  };
}

function applyEvent({ executor }: OperatorServiceDeps): Route {
  const definition = {
    ...common,
    method: "post",
    path: "/v1/operator/orders/{orderId}/events",
    operationId: "operatorOrderEvent",
    summary: "Move an order to a status.",
    access: "admin",
    performsCommands: true,
    refusals: ["not_found", "illegal_transition", "conflict"],
    params: orderParams,
    body: operatorOrderEvent,
    answer: orderEventAnswer,
  } as const;
  return route(definition, async ({ params: { orderId }, body, idempotencyKey }) => ({
    body: await executor.perform({ ...body, type: "order.event", orderId, idempotencyKey }, { door: "http" }),
  }));
}

function changeParties({ executor }: OperatorServiceDeps): Route {
  const definition = {
    ...common,
    method: "post",
    path: "/v1/operator/orders/{orderId}/parties",
    operationId: "operatorOrderParties",
    summary: "Add or remove parties of an order.",
    access: "admin",
    refusals: ["not_found"],
    params: orderParams,
    body: operatorOrderParties,
    answer: operatorPartiesAnswer,
  } as const;
  return route(definition, async ({ params: { orderId }, body: { parties } }) => {
    const command = { type: "order.update", orderId, parties } as const;
    const { nodes, acknowledged } = await executor.perform(command, { door: "http" });
    return { body: { nodes, acknowledged } };
  });
}
