import { describe, expect, test } from "vitest";
import {
  receive,
  release,
  type ArrivalRules,
  type ArrivedEvent,
  type Change,
  type OrderState,
} from "../../src/orders/event-ordering.ts";
import { createTransitionTable } from "../../src/orders/transitions.ts";
import { tellStory, transitions, type StoryEvent } from "../support/order-stories.ts";
import { seeded } from "../support/random.ts";

const moves = createTransitionTable(transitions);
const rules: ArrivalRules = { moves, windowMs: 5_000, mostHeld: 32 };

/** An order in memory that takes events as they come. */
function recordOrder(mostHeld = rules.mostHeld) {
  let state: OrderState = { status: moves.initial, sequence: 0, judged: 0, held: [], refused: [] };
  const timeline = [{ sequence: 0, status: moves.initial }];
  const refused: string[] = [];
  const seen = new Set<string>();

  function keep(change: Change | undefined): void {
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
    receive(event: Omit<ArrivedEvent, "data"> & { data?: unknown }, now = 0): string {
      const isSeen = event.eventId !== undefined && seen.has(event.eventId);
      const arrival = receive({ ...rules, mostHeld }, state, { data: null, ...event }, { now, isSeen });
      keep(arrival.change);
      return arrival.outcome;
    },
    release: (now: number) => keep(release(moves, state, now)),
  };
}

const statuses = (order: ReturnType<typeof recordOrder>) => order.timeline.map(({ status }) => status);

describe("an event", () => {
  test("in its turn is applied, and what was held for it follows", () => {
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

  test("that was applied is a duplicate, by its id or its sequence; an older one is stale", () => {
    const order = recordOrder();
    order.receive({ status: "confirmed", sequence: 1, eventId: "a" });
    order.receive({ status: "cooking", sequence: 2, eventId: "b" });

    expect(order.receive({ status: "confirmed", sequence: 1, eventId: "a" })).toBe("duplicate");
    expect(order.receive({ status: "ready", sequence: 2, eventId: "other" })).toBe("duplicate");
    expect(order.receive({ status: "confirmed", sequence: 1, eventId: "other" })).toBe("stale");
    expect(order.receive({ status: "ready", eventId: "b" })).toBe("duplicate");
    expect(order.timeline).toHaveLength(3);
  });

  test("without a sequence takes the next, which may be what others waited for", () => {
    const order = recordOrder();
    order.receive({ status: "cooking", sequence: 2 });

    expect(order.receive({ status: "confirmed" })).toBe("applied");
    expect(order.timeline.map(({ sequence }) => sequence)).toEqual([0, 1, 2]);
  });

  test("that is illegal changes nothing, and those after it do not wait for its number", () => {
    const order = recordOrder();
    order.receive({ status: "confirmed", sequence: 1 });

    expect(order.receive({ status: "delivered", sequence: 2 })).toBe("illegal");
    expect(order.receive({ status: "delivered", sequence: 2 })).toBe("illegal");
    expect(order.receive({ status: "cooking", sequence: 3 })).toBe("applied");
    expect(order.timeline.map(({ sequence }) => sequence)).toEqual([0, 1, 3]);
  });

  test("that was illegal may be corrected and sent again before the next comes", () => {
    const order = recordOrder();
    order.receive({ status: "delivered", sequence: 1 });

    expect(order.receive({ status: "confirmed", sequence: 1 })).toBe("applied");
    expect(order.receive({ status: "cooking", sequence: 2 })).toBe("applied");
  });

  test("that was illegal stays so when it is sent again after later ones", () => {
    const order = recordOrder();
    order.receive({ status: "delivered", sequence: 1 });
    order.receive({ status: "confirmed", sequence: 2 });

    expect(order.receive({ status: "delivered", sequence: 1 })).toBe("illegal");
    expect(order.receive({ status: "confirmed", sequence: 1 })).toBe("stale");
    expect(order.timeline.map(({ sequence }) => sequence)).toEqual([0, 2]);
  });

  test("that is held answers the same when it is repeated", () => {
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
  ])("replaces the held one that it corrects: %s", (_, correction) => {
    const order = recordOrder();
    order.receive({ status: "cooking", sequence: 2, eventId: "b" });

    expect(order.receive(correction)).toBe("replaced");
    expect(order.held()).toEqual([2]);
    order.receive({ status: "confirmed", sequence: 1 });
    expect(statuses(order)).toEqual(["created", "confirmed", correction.status]);
  });

  test("that was replaced does not undo its correction when it is repeated", () => {
    const order = recordOrder();
    order.receive({ status: "cooking", sequence: 2, eventId: "b" });
    order.receive({ status: "cancelled", sequence: 2, eventId: "c" });

    expect(order.receive({ status: "cooking", sequence: 2, eventId: "b" })).toBe("stale");
    order.receive({ status: "confirmed", sequence: 1 });
    expect(statuses(order)).toEqual(["created", "confirmed", "cancelled"]);
  });

  test("that corrects the number of a held one is judged under its own", () => {
    const order = recordOrder();
    order.receive({ status: "confirmed", sequence: 4, eventId: "b" });

    expect(order.receive({ status: "confirmed", sequence: 3, eventId: "b" })).toBe("replaced");
    expect(order.held()).toEqual([3]);
    expect(order.receive({ status: "confirmed", sequence: 1, eventId: "b" })).toBe("applied");
    expect(order.held()).toEqual([]);
  });

  test("that corrects a held one waits no longer than that, and needs no place of its own", () => {
    const order = recordOrder(1);
    order.receive({ status: "ready", sequence: 3, eventId: "b" }, 0);

    expect(order.receive({ status: "confirmed", sequence: 3, eventId: "c" }, 4_000)).toBe("replaced");
    order.release(5_000);
    expect(statuses(order)).toEqual(["created", "confirmed"]);
  });

  test("that is early is refused where as many are held as may be", () => {
    const order = recordOrder(2);
    order.receive({ status: "cooking", sequence: 3 });
    order.receive({ status: "cooking", sequence: 4 });

    expect(order.receive({ status: "cooking", sequence: 5 })).toBe("full");
    expect(order.held()).toEqual([3, 4]);
  });
});

describe("when a window ends", () => {
  test("what was held is applied in order where that is legal, and refused where not", () => {
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

  test("what came later than the one whose window ended waits on, save what no gap divides from it", () => {
    const order = recordOrder();
    order.receive({ status: "confirmed", sequence: 2 }, 0);
    order.receive({ status: "cooking", sequence: 3 }, 3_000);
    order.receive({ status: "paused", sequence: 5 }, 3_000);

    order.release(5_000);

    expect(statuses(order)).toEqual(["created", "confirmed", "cooking"]);
    expect(order.held()).toEqual([5]);
  });
});

test("whatever is repeated and however it is shuffled, the timeline is legal and whole and only the illegal is refused", () => {
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
