import { readAllowed, type Permissions } from "../../channels/permissions.ts";
import type { Orders } from "../../orders/orders.ts";
import { orderParams, ordersListMessage } from "../../protocol/orders.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";

export interface OrderHandlerDeps {
  orders: Pick<Orders, "getForUser" | "openOrdersOf">;
  permissions: Pick<Permissions, "checkSubscribe">;
}

/** Client events `order:get`, for those who may subscribe to the order, and `orders:list`. */
export function createOrderHandlers({ orders, permissions }: OrderHandlerDeps): ClientHandler[] {
  return [
    clientHandler("order:get", orderParams, ({ identity, subscriber }, { orderId }) =>
      readAllowed(permissions, identity, `order:${orderId}`, subscriber, () => orders.getForUser(orderId)),
    ),
    clientHandler("orders:list", ordersListMessage, ({ identity }) => orders.openOrdersOf(identity.userId)),
  ];
}
