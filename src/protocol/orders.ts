import { z } from "zod";
import type { Order, TimelineEntry } from "./order.ts";
import { isName, isSubjectOf, maxSubjectLength, nameRule } from "./names.ts";
import { channelName, eventName, idempotencyKey, jsonValue, timestamp, userId, wholeNumber } from "./scalars.ts";

/** Schemas of orders: what backends and clients say about them, and what both are answered. */

/** Most parties of one order; each is told of every status. */
export const maxParties = 16;

/** A name that still is one as the subject of a channel: `order:{orderId}`, `orders:{party}`. */
const subjectOf = (kind: string) =>
  z
    .string()
    .refine((value) => isSubjectOf(kind, value), nameRule(maxSubjectLength(kind)))
    .meta({ minLength: 1, maxLength: maxSubjectLength(kind) });

const idOfOrder = "The order's id, chosen by the backend.";
export const orderId = subjectOf("order").meta({ description: idOfOrder });
const party = subjectOf("orders").meta({ description: "A user." });
const status = eventName.meta({ description: "One of the configured statuses.", examples: ["confirmed"] });
const key = idempotencyKey.optional();
const optionalData = jsonValue.optional().meta({ description: "Any JSON value. Default: `null`." });

const parties = z
  .object({ customer: party })
  .catchall(party)
  .refine((value) => Object.keys(value).every(isName), "must have role names as keys")
  .refine((value) => Object.keys(value).length <= maxParties, `must be at most ${maxParties}`)
  .meta({
    description: "The users who receive the order's events and may read it, by role.",
    examples: [{ customer: "ada", courier: "bob" }],
  });

/** Changed parties: a user takes the role, `null` removes it. */
const partyChanges = z
  .record(z.string(), party.nullable())
  .refine((value) => Object.keys(value).every(isName), "must have role names as keys")
  .refine((value) => Object.keys(value).length <= maxParties, `must be at most ${maxParties}`)
  .refine(({ customer }) => customer !== null, "must keep the customer")
  .meta({
    description: "The roles to change: a user takes the role, `null` removes it. Other roles keep their users.",
    examples: [{ courier: "bob", helper: null }],
  });

// What backends send

export const orderFields = {
  create: { orderId, parties, status: status.optional(), data: optionalData, idempotencyKey: key },
  update: {
    parties: partyChanges.optional(),
    data: jsonValue.optional().meta({ description: "Replaces the order's data. Omit to keep it." }),
    idempotencyKey: key,
  },
  event: {
    status,
    sequence: z
      .int()
      .min(1)
      .optional()
      .meta({ description: "Position among the order's events, starting at 1. Default: the next position." }),
    eventId: eventName
      .optional()
      .meta({ description: "Unique id of the event; a second event with the same id is a duplicate." }),
    occurredAt: timestamp.optional().meta({ description: "Epoch milliseconds. Default: the time of arrival." }),
    data: optionalData,
    idempotencyKey: key,
  },
  signal: {
    name: eventName
      // It becomes a key of `signals`.
      .refine((value) => value !== "__proto__", "must not be __proto__")
      .meta({ description: "Name of the signal; only the latest signal of each name is kept.", examples: ["place"] }),
    data: jsonValue.meta({ description: "Any JSON value.", examples: [{ lat: 52.52, lon: 13.4 }] }),
    idempotencyKey: key,
  },
};

/** Body of `POST /v1/orders`. */
export const orderCreateBody = z.strictObject(orderFields.create).meta({ id: "OrderCreate" });
export type OrderCreateBody = z.output<typeof orderCreateBody>;

/** Body of `PATCH /v1/orders/{orderId}`. */
export const orderUpdateBody = z.strictObject(orderFields.update).meta({ id: "OrderUpdate" });
export type OrderUpdateBody = z.output<typeof orderUpdateBody>;

/** Body of `POST /v1/orders/{orderId}/events`. */
export const orderEventBody = z.strictObject(orderFields.event).meta({ id: "OrderEvent" });
export type OrderEventBody = z.output<typeof orderEventBody>;

/** Body of `POST /v1/orders/{orderId}/signals`. */
export const orderSignalBody = z.strictObject(orderFields.signal).meta({ id: "OrderSignal" });
export type OrderSignalBody = z.output<typeof orderSignalBody>;

/** Path of everything about one order; client event `order:get`. */
export const orderParams = z.strictObject({ orderId });

/** Max orders of one page. */
export const maxOrdersPage = 100;

/** Query of `GET /v1/orders`. */
export const ordersQuery = z.strictObject({
  user: party.optional().meta({ description: "Only orders of which this user is a party." }),
  status: status.optional().meta({ description: "Only orders with this status." }),
  limit: wholeNumber(z.int().min(1).max(maxOrdersPage)).optional().meta({ description: "Default: 50." }),
  cursor: z.string().max(2_048).optional().meta({ description: "Cursor from the previous page." }),
});
export type OrdersQuery = z.output<typeof ordersQuery>;

/** Client event `orders:list`. */
export const ordersListMessage = z.strictObject({});

// What they are answered

/** Data of a publication `order.status`, and with it of an entry in the timeline. */
const statusFields = {
  status: z.string().meta({ description: "The order's status after it." }),
  previousStatus: z.string().nullable().meta({ description: "`null` for the creation of the order." }),
  sequence: z.int().min(0).meta({ description: "0 is the creation of the order." }),
  occurredAt: timestamp.meta({ description: "When it happened, as the backend said; else when it arrived." }),
  data: z.unknown().meta({ description: "As given with the event; null if nothing was." }),
};

/** What an update changed. */
const updateFields = z
  .strictObject({
    parties: z
      .record(z.string(), userId.nullable())
      .optional()
      .meta({ description: "The changed roles; null if the role was removed. Absent if no role was changed." }),
    data: z.unknown().optional().meta({ description: "The order's new data; absent if it was kept." }),
  })
  .meta({ id: "OrderChanges", description: "What `PATCH` changed; a role that was removed is `null`." });

export const timelineEntry = z
  .strictObject({ ...statusFields, update: updateFields.optional().meta({ description: "Present for an update." }) })
  .meta({
    id: "TimelineEntry",
    description: "A status, or an update, which has `update` and keeps the status.",
  }) satisfies z.ZodType<TimelineEntry>;

const signal = z.strictObject({
  data: z.unknown().meta({ description: "As the backend sent it." }),
  at: timestamp.meta({ description: "When it arrived." }),
});

export const order = z
  .strictObject({
    orderId: z.string().meta({ description: idOfOrder }),
    parties: z.record(z.string(), userId).meta({ description: "The users of the order, by role." }),
    status: z.string().meta({ description: "The current status." }),
    sequence: statusFields.sequence,
    data: z.unknown().meta({ description: "As given when the order was created or last updated." }),
    signals: z.record(z.string(), signal).meta({ description: "The latest signal of each name." }),
    createdAt: timestamp.meta({ description: "When the order was created." }),
    updatedAt: timestamp.meta({ description: "Time of the last applied event or update." }),
  })
  .meta({ id: "Order" }) satisfies z.ZodType<Order>;

/** Answer of `GET /v1/orders/{orderId}` and `order:get`; snapshot of `order:{orderId}`. */
export const orderWithTimeline = z.strictObject({
  order: order.meta({ description: "As it is now." }),
  timeline: z.array(timelineEntry).meta({ description: "What happened to it, oldest first." }),
});

/** Answer of `POST /v1/orders`. */
export const orderAnswer = z.strictObject({ order });

const confirmations = {
  nodes: z.int().min(0).meta({ description: "Number of nodes asked; 0 if only the data changes." }),
  acknowledged: z.int().min(0).meta({
    description: "Number of nodes that confirmed; if it equals `nodes`, removed parties have lost their subscriptions.",
  }),
};

/** Answer of `PATCH /v1/orders/{orderId}`. */
export const orderUpdateAnswer = z.strictObject({ order, ...confirmations });
export type OrderUpdateAnswer = z.output<typeof orderUpdateAnswer>;

/** Answer of `GET /v1/orders`, newest first. */
export const ordersPage = z.strictObject({
  orders: z.array(order),
  cursor: z.string().optional().meta({
    description: "Cursor of the next page; absent on the last page. A page may have fewer orders than `limit`.",
  }),
});
export type OrdersPage = z.output<typeof ordersPage>;

/** Answer of `DELETE /v1/orders/{orderId}`. */
export const orderRemoved = z.strictObject({
  removed: z.boolean().meta({ description: "False if there was no such order." }),
});
export type OrderRemoved = z.output<typeof orderRemoved>;

/** Why an event was not applied now. */
export const notAppliedReason = z.enum(["duplicate", "stale", "held", "replaced"]);

/** Answer of `POST /v1/orders/{orderId}/events`. */
export const orderEventAnswer = z.strictObject({
  order,
  applied: z.boolean().meta({ description: "Whether the event has changed the order now." }),
  reason: notAppliedReason.optional().meta({
    description:
      "`duplicate`: already applied; `stale`: a later event or a correction was applied; `held`: waits for earlier " +
      "events; `replaced`: replaces the held event with the same sequence.",
  }),
});
export type OrderEventAnswer = z.output<typeof orderEventAnswer>;

/** Answer of `POST /v1/orders/{orderId}/signals`. */
export const orderSignalAnswer = z.strictObject({ channel: channelName });
export type OrderSignalAnswer = z.output<typeof orderSignalAnswer>;
