import { createHash, randomBytes } from "node:crypto";
import type { WebhookEvent } from "../protocol/webhooks.ts";
import type { WebhookMessage } from "./delivery-queue-store.ts";

/** `data` is JSON, `at` in epoch milliseconds. */
export function createMessage(type: WebhookEvent, data: string, id: string, at: number): WebhookMessage {
  return { id, type, body: `{"type":"${type}","timestamp":"${new Date(at).toISOString()}","data":${data}}` };
}

export const freshId = (): string => `msg_${randomBytes(18).toString("base64url")}`;

/** A message id derived from an idempotency key. */
export const idOf = (key: string): string =>
  `msg_${createHash("sha256").update(key).digest().subarray(0, 18).toString("base64url")}`;

/** For each kind of entity, the events of its first node becoming occupied and its last one vacated. */
const events = {
  session: { up: "session.connected", gone: "session.disconnected" },
  channel: { up: "channel.occupied", gone: "channel.vacated" },
} as const satisfies Record<string, Record<"up" | "gone", WebhookEvent>>;

export type OccupancyKind = keyof typeof events;

export const eventsOf = (kind: OccupancyKind): readonly WebhookEvent[] => Object.values(events[kind]);

export const entityOf = (kind: OccupancyKind, name: string): string => `${kind}:${name}`;

export function eventOf(entity: string, isUp: boolean): WebhookEvent {
  const kind = entity.slice(0, entity.indexOf(":")) as OccupancyKind;
  return events[kind][isUp ? "up" : "gone"];
}
