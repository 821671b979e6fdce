import { z } from "zod";
import { boardPage } from "../leaderboards.ts";
import { masked } from "./operator.ts";
import { order, orderFields, orderUpdateAnswer, timelineEntry } from "../orders.ts";
import { timestamp } from "../scalars.ts";

/** Schemas of the operator API about orders and boards. */

const heldEvent = z
  .object({
    sequence: z.int().meta({ description: "Its position among the order's events." }),
    status: z.string().meta({ description: "The status that it will set." }),
    waitsFor: z.int().meta({ description: "The sequence that has not arrived." }),
    until: timestamp.meta({ description: "When it is applied without waiting any longer." }),
  })
  .meta({ id: "HeldEvent" });

const dueCheck = z
  .object({
    kind: z
      .enum(["order", "signal", "timeout", "parties", "removal"])
      .meta({ description: "What is checked; see the shape." }),
    dueAt: timestamp.meta({ description: "When it is checked." }),
  })
  .meta({
    id: "DueCheck",
    description:
      "`order`: the reorder window or the outbox; `signal`: a signal that waits for its interval; `timeout`: the longest time " +
      "in a status; `parties`, `removal`: an update or a deletion that may have to be completed.",
  });

export const operatorOrder = z.object({
  order: order.extend({
    data: z.unknown().optional().meta({ description: masked }),
    signals: z.record(z.string(), z.object({ data: z.unknown().optional(), at: timestamp })),
  }),
  timeline: z.array(timelineEntry.extend({ data: z.unknown().optional().meta({ description: masked }) })),
  held: z.array(heldEvent).meta({ description: "Events that arrived early." }),
  refused: z
    .array(z.object({ sequence: z.int(), status: z.string() }))
    .meta({ description: "Sequences whose event was illegal." }),
  outbox: z
    .array(z.object({ number: z.int(), kind: z.enum(["status", "update", "refused"]) }))
    .meta({ description: "Notifications that were not delivered yet." }),
  checks: z.array(dueCheck),
});
export type OperatorOrder = z.output<typeof operatorOrder>;

export const operatorOrderEvent = z.strictObject(orderFields.event);
export const operatorOrderParties = z.strictObject({ parties: orderFields.update.parties.unwrap() });
export const operatorPartiesAnswer = orderUpdateAnswer.omit({ order: true });

export const operatorBoard = boardPage.extend({
  entries: z.array(
    boardPage.shape.entries.element.extend({ data: z.unknown().optional().meta({ description: masked }) }),
  ),
  seasons: z.array(z.object({ season: z.string(), startsAt: timestamp, endsAt: timestamp, current: z.boolean() })),
});
export type OperatorBoard = z.output<typeof operatorBoard>;
