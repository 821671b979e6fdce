import type { BackendCall } from "./backend.ts";
import type { MapPoint } from "./order-path.ts";

/** An order event as sent by an upstream system. */
export interface UpstreamEvent {
  status: string;
  sequence?: number;
  eventId?: string;
}

export const createCall = (orderId: string, parties: Record<string, string>): BackendCall => ({
  method: "POST",
  path: "/v1/orders",
  body: { orderId, parties },
});

export const eventCall = (orderId: string, event: UpstreamEvent): BackendCall => ({
  method: "POST",
  path: `/v1/orders/${encodeURIComponent(orderId)}/events`,
  body: event,
});

export const locationCall = (orderId: string, point: MapPoint): BackendCall => ({
  method: "POST",
  path: `/v1/orders/${encodeURIComponent(orderId)}/signals`,
  body: { name: "courier", data: point },
});
