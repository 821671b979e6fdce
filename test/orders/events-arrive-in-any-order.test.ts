import { describe, expect, test } from "vitest";
import {
  receive,
  releaseExpired,
  type OrderingRules,
  type IncomingEvent,
  type StateChange,
  type OrderState,
} from "../../src/orders/event-ordering.ts";
import { createTransitionTable } from "../../src/orders/transitions.ts";
import { tellStory, transitions as configured, type StoryEvent } from "../support/order-stories.ts";
import { seeded } from "../support/random.ts";

const transitions = createTransitionTable(configured);
const rules: OrderingRules = { transitions, windowMs: 5_000, maxHeld: 32 };

/** An order in memory. */
function recordOrder(maxHeld = rules.maxHeld) {
  let state: OrderState = { status: transitions.initial, sequence: 0, resolved: 0, held: [], refused: [] };
  const timeline = [{ sequence: 0, status: transitions.initial }];
  const refused: string[] = [];
  const seen = new Set<string>();

  function keep(change: StateChange | undefined): void {
    if (change === undefined) return;
    state = change.state;
    for (const { entry, eventId } of change.applied) {
      timeline.push({ sequence: entry.sequence, status: entry.status });
      if (eventId !== undefined) seen.add(eventId);
    }
    refused.push(...change.refused.map(({ event }) => event.eventId ?? ""));
  }

  return {
    timeline,
    refused,
    held: () => state.held.map(({ sequence }) => sequence),
    receive(event: Omit<IncomingEvent, "data"> & { data?: unknown }, now = 0): string {
      const isSeen = event.eventId !== undefined && seen.has(event.eventId);
      const result = receive({ ...rules, maxHeld }, state, { data: null, ...event }, { now, isSeen });
      keep(result.change);
      return result.outcome;
    },
    release: (now: number) => keep(releaseExpired(transitions, state, now)),
  };
}

const statuses = (order: ReturnType<typeof recordOrder>) => order.timeline.map(({ status }) => status);

describe("an event", () => {
  test("with the next sequence is applied, and held events follow", () => {
    const order = recordOrder();

    const outcomes = [
      order.receive({ status: "ready", sequence: 3 }),
      order.receive({ status: "cooking", sequence: 2 }),
      order.receive({ status: "confirmed", sequence: 1 }),
    ];

    expect(outcomes).toEqual(["held", "held", "applied"]);
    expect(statuses(order)).toEqual(["created", "confirmed", "cooking", "ready"]);
    expect(order.held()).toEqual([]);
  });

  test("that was applied is a duplicate by id or sequence; an older one is stale", () => {
    const order = recordOrder();
    order.receive({ status: "confirmed", sequence: 1, eventId: "a" });
    order.receive({ status: "cooking", sequence: 2, eventId: "b" });

    expect(order.receive({ status: "confirmed", sequence: 1, eventId: "a" })).toBe("duplicate");
    expect(order.receive({ status: "ready", sequence: 2, eventId: "other" })).toBe("duplicate");
    expect(order.receive({ status: "confirmed", sequence: 1, eventId: "other" })).toBe("stale");
    expect(order.receive({ status: "ready", eventId: "b" })).toBe("duplicate");
    expect(order.timeline).toHaveLength(3);
  });

  test("without a sequence takes the next one, which may release held events", () => {
    const order = recordOrder();
    order.receive({ status: "cooking", sequence: 2 });

    expect(order.receive({ status: "confirmed" })).toBe("applied");
    expect(order.timeline.map(({ sequence }) => sequence)).toEqual([0, 1, 2]);
  });

  test("that is illegal changes nothing, and later events do not wait for its number", () => {
    const order = recordOrder();
    order.receive({ status: "confirmed", sequence: 1 });

    expect(order.receive({ status: "delivered", sequence: 2 })).toBe("illegal");
    expect(order.receive({ status: "delivered", sequence: 2 })).toBe("illegal");
    expect(order.receive({ status: "cooking", sequence: 3 })).toBe("applied");
    expect(order.timeline.map(({ sequence }) => sequence)).toEqual([0, 1, 3]);
  });

  test("whose status is not configured is illegal at once, also if it is early or would correct a held one", () => {
    const order = recordOrder();
    order.receive({ status: "cooking", sequence: 2 });

    expect(order.receive({ status: "cookign", sequence: 3 })).toBe("illegal");
    expect(order.receive({ status: "cookign", sequence: 2 })).toBe("illegal");
    expect(order.receive({ status: "confirmed", sequence: 1 })).toBe("applied");
    expect(statuses(order)).toEqual(["created", "confirmed", "cooking"]);
    expect(order.held()).toEqual([]);
  });

  test("that was illegal may be corrected and resent before the next event", () => {
    const order = recordOrder();
    order.receive({ status: "delivered", sequence: 1 });

    expect(order.receive({ status: "confirmed", sequence: 1 })).toBe("applied");
    expect(order.receive({ status: "cooking", sequence: 2 })).toBe("applied");
  });

  test("that was illegal is illegal again if repeated after later events", () => {
    const order = recordOrder();
    order.receive({ status: "delivered", sequence: 1 });
    order.receive({ status: "confirmed", sequence: 2 });

    expect(order.receive({ status: "delivered", sequence: 1 })).toBe("illegal");
    expect(order.receive({ status: "confirmed", sequence: 1 })).toBe("stale");
    expect(order.timeline.map(({ sequence }) => sequence)).toEqual([0, 2]);
  });

  test("that is held gets the same response when repeated", () => {
    const order = recordOrder();
    order.receive({ status: "cooking", sequence: 2, eventId: "b", data: { a: 1 }, occurredAt: 7 });

    expect(order.receive({ status: "cooking", sequence: 2, eventId: "b", data: { a: 1 } }, 50)).toBe("held");
    expect(order.receive({ status: "cooking", sequence: 2, data: { a: 1 }, occurredAt: 7 }, 60)).toBe("held");
    expect(order.receive({ status: "cooking", eventId: "b", data: { a: 1 } }, 70)).toBe("held");
    expect(order.held()).toEqual([2]);
  });

  test.each([
    ["another id", { status: "cooking", sequence: 2, eventId: "c" }],
    ["another status", { status: "cancelled", sequence: 2, eventId: "b" }],
    ["other data", { status: "cooking", sequence: 2, eventId: "b", data: { a: 2 } }],
    ["another time", { status: "cooking", sequence: 2, eventId: "b", occurredAt: 9 }],
    ["another status and no id", { status: "cancelled", sequence: 2 }],
    ["another status and no number", { status: "cancelled", eventId: "b" }],
  ])("replaces the held event that it corrects: %s", (_, correction) => {
    const order = recordOrder();
    order.receive({ status: "cooking", sequence: 2, eventId: "b" });

    expect(order.receive(correction)).toBe("replaced");
    expect(order.held()).toEqual([2]);
    order.receive({ status: "confirmed", sequence: 1 });
    expect(statuses(order)).toEqual(["created", "confirmed", correction.status]);
  });

  test("that was replaced does not undo the correction when repeated", () => {
    const order = recordOrder();
    order.receive({ status: "cooking", sequence: 2, eventId: "b" });
    order.receive({ status: "cancelled", sequence: 2, eventId: "c" });

    expect(order.receive({ status: "cooking", sequence: 2, eventId: "b" })).toBe("stale");
    order.receive({ status: "confirmed", sequence: 1 });
    expect(statuses(order)).toEqual(["created", "confirmed", "cancelled"]);
  });

  test("that corrects the number of a held event is resolved under its own number", () => {
    const order = recordOrder();
    order.receive({ status: "confirmed", sequence: 4, eventId: "b" });

    expect(order.receive({ status: "confirmed", sequence: 3, eventId: "b" })).toBe("replaced");
    expect(order.held()).toEqual([3]);
    expect(order.receive({ status: "confirmed", sequence: 1, eventId: "b" })).toBe("applied");
    expect(order.held()).toEqual([]);
  });

  test("that corrects a held event keeps its window and does not count as another held event", () => {
    const order = recordOrder(1);
    order.receive({ status: "ready", sequence: 3, eventId: "b" }, 0);

    expect(order.receive({ status: "confirmed", sequence: 3, eventId: "c" }, 4_000)).toBe("replaced");
    order.release(5_000);
    expect(statuses(order)).toEqual(["created", "confirmed"]);
  });

  test("that is early is refused if the maximum number of events is held", () => {
    const order = recordOrder(2);
    order.receive({ status: "cooking", sequence: 3 });
    order.receive({ status: "cooking", sequence: 4 });

    expect(order.receive({ status: "cooking", sequence: 5 })).toBe("full");
    expect(order.held()).toEqual([3, 4]);
  });
});

describe("when a reorder window ends", () => {
  test("held events are applied in order if legal, and refused otherwise", () => {
    const order = recordOrder();
    order.receive({ status: "delivered", sequence: 3, eventId: "c" }, 0);
    order.receive({ status: "confirmed", sequence: 2, eventId: "b" }, 1_000);

    order.release(4_999);
    expect(order.timeline).toHaveLength(1);
    order.release(5_000);

    expect(order.timeline.map(({ sequence }) => sequence)).toEqual([0, 2]);
    expect(order.refused).toEqual(["c"]);
    expect(order.receive({ status: "cancelled", sequence: 1 })).toBe("stale");
  });

  test("later events keep waiting, except those that follow without a gap", () => {
    const order = recordOrder();
    order.receive({ status: "confirmed", sequence: 2 }, 0);
    order.receive({ status: "cooking", sequence: 3 }, 3_000);
    order.receive({ status: "paused", sequence: 5 }, 3_000);

    order.release(5_000);

    expect(statuses(order)).toEqual(["created", "confirmed", "cooking"]);
    expect(order.held()).toEqual([5]);
  });
});

test("shuffled and repeated events give a legal, complete timeline, and only illegal events are refused", () => {
  const random = seeded(4);
  for (let round = 0; round < 3_000; round++) {
    const story = tellStory(random, { length: 4 + Math.floor(random() * 12), illegalShare: 0.15 });
    const order = recordOrder();
    const refused = new Set(story.arrivals.filter((event) => order.receive(event) === "illegal").map(toId));

    for (const id of order.refused) refused.add(id);

    const outcome = {
      round,
      timeline: order.timeline.map(({ sequence }) => sequence),
      refused: [...refused].toSorted(),
    };
    expect(outcome).toEqual({ round, timeline: story.timeline, refused: story.illegal.toSorted() });
    expect(order.held()).toEqual([]);
  }
});

const toId = ({ eventId }: StoryEvent): string => eventId;
