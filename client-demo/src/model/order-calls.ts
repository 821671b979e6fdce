import type { BackendCall } from "./backend.ts";
import type { Place } from "./road.ts";

/** An event as an upstream sends it. */
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

export const placeCall = (orderId: string, place: Place): BackendCall => ({
  method: "POST",
  path: `/v1/orders/${encodeURIComponent(orderId)}/signals`,
  body: { name: "courier", data: place },
});
