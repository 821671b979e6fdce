import { appendScripts, appendTail, positionScripts } from "../channels/append.ts";
import type { Snapshot } from "../channels/answers.ts";
import { freshEpoch } from "../channels/kinds.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { Order, OrderWithTimeline, TimelineEntry } from "../protocol/orders.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import { idleChannelTtlSeconds, targetArgs, targetKeys, type ChannelTargets } from "./append-parts.ts";
import type { AppliedEvent, HeldEvent, OrderState, RefusedNumber } from "./event-ordering.ts";
import type { NumberedItem, OrderRecord, OutboxItem, StoredOrder } from "./order-record.ts";

/**
 * Orders in Redis; everything about one lies in the slot of its channel.
 *
 * Atomicity: an order is read, decided on, and saved by one script that also publishes its statuses on the order's
 * channel, or does nothing where somebody saved since the read. No crash can come between applying and publishing.
 * What must be told elsewhere (the parties' channels, the dead letters) is put into the outbox by the same script and
 * stays there until `told` says so.
 *
 * Edges: an order lives for `lifeSeconds` after its last save, `endedLifeSeconds` once it has ended; then it and all its
 * keys are gone. The timeline keeps its last `timelineSize` entries, repeats are known by the last `seenIds` event ids.
 */
export interface OrderStore {
  load(orderId: string, eventId?: string): Promise<LoadedOrder>;
  /** The outbox after it; undefined where the order is not as it was read, and nothing was saved. */
  save(orderId: string, save: Save): Promise<NumberedItem[] | undefined>;
  outbox(orderId: string): Promise<NumberedItem[]>;
  /** Everything up to this number was told. */
  told(orderId: string, number: number): Promise<void>;
  /** The same answer in the same time for an unknown order and for a foreign one. */
  isParty(orderId: string, userId: string): Promise<boolean>;
  /** Milliseconds that each order has left; nothing where its life is over. */
  remainingMs(orderIds: readonly string[]): Promise<(number | undefined)[]>;
  /** With the position of the order's channel at the same moment. */
  read(orderId: string): Promise<(Snapshot & { value: OrderWithTimeline }) | undefined>;
}

export interface LoadedOrder {
  /** By Redis' clock, epoch milliseconds. */
  now: number;
  /** The event was applied before. */
  isSeen: boolean;
  /** Nodes may have subscriptions of an order of this id, which lives or has lived until lately. */
  hasRemains: boolean;
  order: StoredOrder | undefined;
}

export interface Save {
  /** Revision that was read; undefined for a new order. */
  expected: string | undefined;
  /** Of a new order. */
  beginning?: { record: OrderRecord; content: string };
  state: OrderState;
  hasEnded: boolean;
  updatedAt: number;
  applied: readonly AppliedEvent[];
  outbox: readonly OutboxItem[];
}

export interface OrderStoreOptions {
  /** Seconds an order lives after its last event. @default 604800 */
  lifeSeconds: number;
  /** Seconds an order lives after it has ended. @default 86400 */
  endedLifeSeconds: number;
  /** Entries of a timeline. @default 200 */
  timelineSize: number;
  /** Event ids by which repeats are known, per order. @default 1000 */
  seenIds: number;
}

export function createOrderStore(
  { commands, keys, targets }: { commands: RedisClient; keys: Keys; targets: ChannelTargets },
  options: OrderStoreOptions,
): OrderStore {
  const loadOrder = loadScript(commands, new URL("./load.lua", import.meta.url));
  const saveOrder = loadScript(commands, new URL("./save.lua", import.meta.url), appendScripts);
  const readOrder = loadScript(commands, new URL("./read.lua", import.meta.url), positionScripts, {
    isOrdered: false,
  });

  return {
    async load(orderId, eventId = "") {
      const scriptKeys = [keys.orderState(orderId), keys.orderSeen(orderId), keys.orderSignals(orderId)];
      scriptKeys.push(keys.orderRemains(orderId));
      return toLoaded(await loadOrder.run(scriptKeys, [eventId]));
    },

    async save(orderId, save) {
      const target = targets.target(`order:${orderId}`);
      const life = save.hasEnded ? options.endedLifeSeconds : options.lifeSeconds;
      const reply = await saveOrder.run(
        [...savedKeys(keys, orderId), keys.orderRemains(orderId), ...targetKeys(target)],
        [
          save.expected ?? "",
          life,
          options.timelineSize,
          options.seenIds,
          ...targetArgs(target),
          ...parts(orderId, save),
        ],
      );
      return reply === null ? undefined : toItems(reply);
    },

    outbox: async (orderId) => toItems(await commands.zrange(keys.orderOutbox(orderId), "0", "-1", "WITHSCORES")),

    async told(orderId, number) {
      await commands.zremrangebyscore(keys.orderOutbox(orderId), "-inf", number);
    },

    isParty: async (orderId, userId) => (await commands.sismember(keys.orderParties(orderId), userId)) === 1,

    async remainingMs(orderIds) {
      const remaining = await Promise.all(orderIds.map((orderId) => commands.pttl(keys.orderState(orderId))));
      return remaining.map((ms) => (ms < 0 ? undefined : ms));
    },

    async read(orderId) {
      const reply = await readOrder.run(
        [
          keys.orderState(orderId),
          keys.orderTimeline(orderId),
          keys.orderSignals(orderId),
          keys.channelMeta(`order:${orderId}`),
        ],
        [freshEpoch(), idleChannelTtlSeconds],
      );
      return reply === null ? undefined : toSnapshot(reply);
    },
  };
}

/** In the order of the script's KEYS; their life is renewed together. */
const savedKeys = (keys: Keys, orderId: string): string[] => [
  keys.orderState(orderId),
  keys.orderTimeline(orderId),
  keys.orderSeen(orderId),
  keys.orderParties(orderId),
  keys.orderOutbox(orderId),
  keys.orderSignals(orderId),
  keys.orderSignalMarks(orderId),
];

/** The lists at the end of the script's ARGV, their lengths first. */
function parts(orderId: string, { beginning, state, updatedAt, applied, outbox }: Save): (string | number)[] {
  const { status, sequence, judged } = state;
  const [held, refused] = [canonicalJson(state.held), canonicalJson(state.refused)];
  const fields = Object.entries({ status, sequence, judged, held, refused, updatedAt });
  if (beginning !== undefined) {
    fields.push(["record", canonicalJson(beginning.record)], ["content", beginning.content]);
  }
  const statuses = applied.flatMap(({ entry, eventId = "" }) => {
    const tail = appendTail("order.status", canonicalJson({ orderId, ...entry }));
    return [canonicalJson(entry), tail, eventId];
  });
  const items = outbox.map(canonicalJson);
  const parties = beginning === undefined ? [] : Object.values(beginning.record.parties);
  const counts = [fields.length, applied.length, items.length, parties.length];
  return [...counts, ...fields.flat(), ...statuses, ...items, ...parties];
}

function toLoaded(reply: ScriptReply): LoadedOrder {
  const [
    now,
    isSeen,
    hasRemains,
    signals,
    record,
    content,
    status,
    sequence,
    judged,
    held,
    refused,
    revision,
    updatedAt,
  ] = reply as [string, number, number, string[], ...string[]];
  const loaded = { now: Number(now), isSeen: isSeen === 1, hasRemains: hasRemains === 1 };
  if (record === undefined || record === null) return { ...loaded, order: undefined };
  const order = {
    record: JSON.parse(record) as OrderRecord,
    content: content as string,
    state: {
      status: status as string,
      sequence: Number(sequence),
      judged: Number(judged),
      held: JSON.parse(held as string) as HeldEvent[],
      refused: JSON.parse(refused as string) as RefusedNumber[],
    },
    revision: revision as string,
    updatedAt: Number(updatedAt),
    signals: toSignals(signals),
  };
  return { ...loaded, order };
}

function toSnapshot(reply: ScriptReply): Snapshot & { value: OrderWithTimeline } {
  const [epoch, offset, entries, signals, record, status, sequence, updatedAt] = reply as [
    string,
    string,
    string[],
    string[],
    string,
    string,
    string,
    string,
  ];
  const order = {
    ...(JSON.parse(record) as OrderRecord),
    status,
    sequence: Number(sequence),
    signals: toSignals(signals),
    updatedAt: Number(updatedAt),
  };
  const timeline = entries.map((entry) => JSON.parse(entry) as TimelineEntry);
  return { value: { order, timeline }, at: { epoch, offset: Number(offset) } };
}

function toSignals(flat: readonly string[]): Order["signals"] {
  const signals: [string, { data: unknown; at: number }][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const text = flat[i + 1] as string;
    const colon = text.indexOf(":");
    signals.push([flat[i] as string, { data: JSON.parse(text.slice(colon + 1)), at: Number(text.slice(0, colon)) }]);
  }
  return Object.fromEntries(signals);
}

function toItems(reply: ScriptReply): NumberedItem[] {
  const flat = reply as string[];
  const items: NumberedItem[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) {
    items.push({ item: JSON.parse(flat[i] as string) as OutboxItem, number: Number(flat[i + 1]) });
  }
  return items;
}
