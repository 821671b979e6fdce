import type { TimelineEntry } from "../../../src/client/client.ts";
import { BackendError, callBackend } from "./backend.ts";
import { eventCall, type UpstreamEvent } from "./order-calls.ts";
import { road } from "./road.ts";

/** One event as it was sent, and what the gateway said. */
export interface Sent {
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

/** All that happened to an order so far and all that is left of the road: each twice, in no order at all. */
export function shuffledStory(timeline: readonly TimelineEntry[]): NumberedEvent[] {
  const past = timeline.filter(({ sequence }) => sequence > 0).map(({ status, sequence }) => ({ status, sequence }));
  const last = timeline.at(-1);
  const at = road.findIndex((status) => status === last?.status);
  const ahead = at === -1 ? [] : road.slice(at + 1);
  const future = ahead.map((status, index) => ({ status, sequence: (last?.sequence ?? 0) + index + 1 }));
  const story = [...past, ...future];
  return shuffled([...story, ...story]);
}

/** Sends an event as upstreams do that promise neither order nor uniqueness. */
export async function send(apiKey: string, orderId: string, event: NumberedEvent): Promise<Omit<Sent, "key">> {
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
