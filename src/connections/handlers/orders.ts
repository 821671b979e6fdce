import type { Orders } from "../../orders/orders.ts";
import { orderParams, ordersListMessage } from "../../protocol/orders.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";

export interface OrderHandlerDeps {
  orders: Pick<Orders, "getAs" | "openOrdersOf">;
}

/** Client events `order:get` and `orders:list`. */
export function createOrderHandlers({ orders }: OrderHandlerDeps): ClientHandler[] {
  return [
    clientHandler("order:get", orderParams, ({ identity }, { orderId }) => orders.getAs(identity.userId, orderId)),
    clientHandler("orders:list", ordersListMessage, ({ identity }) => orders.openOrdersOf(identity.userId)),
  ];
}
