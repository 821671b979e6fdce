import { createHash, randomBytes } from "node:crypto";
import type { WebhookEvent } from "../protocol/webhooks.ts";
import type { Message } from "./lane-store.ts";

/** `data` is JSON, `at` in epoch milliseconds. */
export function createMessage(type: WebhookEvent, data: string, id: string, at: number): Message {
  return { id, type, body: `{"type":"${type}","timestamp":"${new Date(at).toISOString()}","data":${data}}` };
}

export const freshId = (): string => `msg_${randomBytes(18).toString("base64url")}`;

/** The same for the same key. */
export const idOf = (key: string): string =>
  `msg_${createHash("sha256").update(key).digest().subarray(0, 18).toString("base64url")}`;

/** Kinds of what can stand somewhere: what is told when it comes up at its first node, and when it leaves its last. */
const turns = {
  session: { up: "session.connected", gone: "session.disconnected" },
  channel: { up: "channel.occupied", gone: "channel.vacated" },
} as const satisfies Record<string, Record<"up" | "gone", WebhookEvent>>;

export type StandingKind = keyof typeof turns;

export const turnsOf = (kind: StandingKind): readonly WebhookEvent[] => Object.values(turns[kind]);

export const entityOf = (kind: StandingKind, name: string): string => `${kind}:${name}`;

export function turnOf(entity: string, isUp: boolean): WebhookEvent {
  const kind = entity.slice(0, entity.indexOf(":")) as StandingKind;
  return turns[kind][isUp ? "up" : "gone"];
}
