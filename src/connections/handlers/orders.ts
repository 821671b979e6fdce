import type { Orders } from "../../orders/orders.ts";
import { orderParams } from "../../protocol/orders.ts";
import { clientHandler, type ClientHandler } from "../client-handler.ts";

export interface OrderHandlerDeps {
  orders: Pick<Orders, "getAs">;
}

/** Client event `order:get`. */
export function createOrderHandlers({ orders }: OrderHandlerDeps): ClientHandler[] {
  return [
    clientHandler("order:get", orderParams, ({ identity }, { orderId }) => orders.getAs(identity.userId, orderId)),
  ];
}
