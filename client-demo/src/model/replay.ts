import type { TimelineEntry } from "../../../src/client/client.ts";
import { BackendError, callBackend } from "./backend.ts";
import { eventCall, type UpstreamEvent } from "./order-calls.ts";
import { orderPath } from "./order-path.ts";

/** A sent event and the gateway's response. */
export interface SentEvent {
  key: number;
  sequence: number;
  status: string;
  outcome: string;
  tone: "good" | "calm" | "bad";
}

interface EventAnswer {
  applied: boolean;
  reason?: string;
}

type NumberedEvent = UpstreamEvent & { sequence: number };

/** All past and remaining events of an order, each twice, shuffled. */
export function shuffledEvents(timeline: readonly TimelineEntry[]): NumberedEvent[] {
  const past = timeline.filter(({ sequence }) => sequence > 0).map(({ status, sequence }) => ({ status, sequence }));
  const last = timeline.at(-1);
  const at = orderPath.findIndex((status) => status === last?.status);
  const ahead = at === -1 ? [] : orderPath.slice(at + 1);
  const future = ahead.map((status, index) => ({ status, sequence: (last?.sequence ?? 0) + index + 1 }));
  const story = [...past, ...future];
  return shuffled([...story, ...story]);
}

/** Sends an event, as an upstream without ordering or deduplication does. */
export async function send(apiKey: string, orderId: string, event: NumberedEvent): Promise<Omit<SentEvent, "key">> {
  const { sequence, status } = event;
  try {
    const { applied, reason } = (await callBackend(apiKey, eventCall(orderId, event))) as EventAnswer;
    return {
      sequence,
      status,
      outcome: applied ? "applied" : (reason ?? "not applied"),
      tone: applied ? "good" : "calm",
    };
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    return { sequence, status, outcome: error.code ?? String(error.status), tone: "bad" };
  }
}

function shuffled<Item>(items: readonly Item[]): Item[] {
  return items
    .map((item) => ({ item, place: Math.random() }))
    .toSorted((one, other) => one.place - other.place)
    .map(({ item }) => item);
}
