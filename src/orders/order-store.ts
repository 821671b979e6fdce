import { appendScripts, appendTail, positionScripts } from "../channels/append.ts";
import type { Snapshot } from "../channels/subscription.ts";
import { freshEpoch } from "../channels/kinds.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { Order, OrderWithTimeline, TimelineEntry } from "../protocol/order.ts";
import type { RedisClient } from "../redis/connections.ts";
import { pairsOf } from "../redis/pairs.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import { idleChannelTtlSeconds, targetArgs, targetKeys, type ChannelTargets } from "./channel-targets.ts";
import type { AppliedEvent, HeldEvent, OrderState, RefusedNumber } from "./event-ordering.ts";
import type { NumberedItem, OrderRecord, OutboxItem, StoredOrder } from "./order-record.ts";

/**
 * Orders in Redis; all keys of an order are in the slot of its channel.
 *
 * Atomicity: after an order is loaded and a decision made, one script saves the order and publishes its statuses on the
 * order's channel, or does nothing if another node saved in between (optimistic locking by `revision`). So a crash
 * cannot separate applying from publishing. Notifications outside this slot (parties' channels, dead letters) are added
 * to the outbox by the same script and stay there until `delivered` is called.
 *
 * Bounds: an order expires `lifeSeconds` after its last save, or `endedLifeSeconds` once it has ended, with all its keys.
 * The timeline keeps its last `timelineSize` entries, within `timelineBytes`; repeats are detected by the last `seenIds`
 * event ids.
 */
export interface OrderStore {
  load(orderId: string, eventId?: string): Promise<LoadedOrder>;
  /**
   * The outbox after the save. Undefined, and nothing was saved, if the order has changed since it was loaded, or a user
   * that is removed may have read it since its right was ended: end that again.
   */
  save(orderId: string, save: Save): Promise<NumberedItem[] | undefined>;
  outbox(orderId: string): Promise<NumberedItem[]>;
  /** Deletes the order with all its keys; false if it has changed since it was loaded. */
  remove(orderId: string, revision: string): Promise<boolean>;
  /** Removes all items up to this number, which have been delivered. */
  delivered(orderId: string, number: number): Promise<void>;
  /**
   * These users can no longer read the order, until the update with this id is saved or `restoreParties` undoes it.
   * Resolves with a mark for each, which is another one once the user could read in between.
   */
  endAccess(orderId: string, users: readonly string[], updateId: string): Promise<EndedAccess>;
  restoreParties(orderId: string, updateId: string): Promise<void>;
  /** The timeline's updates no longer name this user. */
  forgetParty(orderId: string, userId: string): Promise<void>;
  /** The same response in the same time for an unknown order and for one of other parties. */
  isParty(orderId: string, userId: string): Promise<boolean>;
  /** Remaining TTL of each order in milliseconds; undefined if it has expired. */
  remainingMs(orderIds: readonly string[]): Promise<(number | undefined)[]>;
  /** Read atomically with the position of the order's channel. */
  read(orderId: string): Promise<(Snapshot & { value: OrderWithTimeline }) | undefined>;
}

/** Users whose right to read an order has ended, each with a mark of that end. */
export type EndedAccess = ReadonlyMap<string, string>;

export interface LoadedOrder {
  /** Redis time in epoch milliseconds. */
  now: number;
  /** An event with this id was applied before. */
  isSeen: boolean;
  /** Nodes may have subscriptions to an order with this id, which exists or expired recently. */
  hasTombstone: boolean;
  ended: EndedAccess;
  order: StoredOrder | undefined;
}

export interface Save {
  createdAt: number;
  /** Revision that was loaded; undefined for a new order. */
  expected: string | undefined;
  /** Present for a new order, and if it changes. */
  record?: OrderRecord;
  /** Fingerprint of the creation; present for a new order. */
  content?: string;
  /** Users who may read the order from now on; omitted if that does not change. */
  readers?: readonly string[];
  /** Users who are no longer parties, and whose right has ended on every node. */
  removed?: EndedAccess;
  state: OrderState;
  hasEnded: boolean;
  updatedAt: number;
  /** Present if the order gets another status. */
  statusAt?: number;
  applied: readonly AppliedEvent[];
  outbox: readonly OutboxItem[];
}

export interface OrderStoreOptions {
  /** Seconds until an order expires after its last event. @default 604800 */
  lifeSeconds: number;
  /** Seconds until an order expires after it has ended. @default 86400 */
  endedLifeSeconds: number;
  /** Max entries of a timeline. @default 200 */
  timelineSize: number;
  /** Max bytes of a timeline; its last entry is always kept. @default 262144 */
  timelineBytes: number;
  /** Max event ids remembered per order, to detect repeats. @default 1000 */
  seenIds: number;
}

export function createOrderStore(
  { commands, keys, targets }: { commands: RedisClient; keys: Keys; targets: ChannelTargets },
  options: OrderStoreOptions,
): OrderStore {
  const loadOrder = loadScript(commands, new URL("./load.lua", import.meta.url));
  const saveOrder = loadScript(commands, new URL("./save.lua", import.meta.url), appendScripts);
  const endAccess = loadScript(commands, new URL("./end-access.lua", import.meta.url));
  const restoreParties = loadScript(commands, new URL("./restore-parties.lua", import.meta.url));
  const replaceEntries = loadScript(commands, new URL("./replace-entries.lua", import.meta.url));
  const removeOrder = loadScript(commands, new URL("./remove.lua", import.meta.url));
  const readOrder = loadScript(commands, new URL("./read.lua", import.meta.url), positionScripts, {
    isOrdered: false,
  });

  return {
    async load(orderId, eventId = "") {
      const scriptKeys = [keys.orderState(orderId), keys.orderSeen(orderId), keys.orderSignals(orderId)];
      scriptKeys.push(keys.orderTombstone(orderId), keys.orderParties(orderId));
      return toLoaded(await loadOrder.run(scriptKeys, [eventId]));
    },

    async save(orderId, save) {
      const target = targets.target(`order:${orderId}`);
      const ttlSeconds = save.hasEnded ? options.endedLifeSeconds : options.lifeSeconds;
      const reply = await saveOrder.run(
        [...savedKeys(keys, orderId), keys.orderTombstone(orderId), ...targetKeys(target)],
        [
          save.expected ?? "",
          ttlSeconds,
          options.timelineSize,
          options.timelineBytes,
          options.seenIds,
          ...targetArgs(target),
          ...parts(orderId, save),
        ],
      );
      return reply === null ? undefined : toItems(reply);
    },

    outbox: async (orderId) => toItems(await commands.zrange(keys.orderOutbox(orderId), "0", "-1", "WITHSCORES")),

    async delivered(orderId, number) {
      await commands.zremrangebyscore(keys.orderOutbox(orderId), "-inf", number);
    },

    async remove(orderId, revision) {
      const scriptKeys = [...savedKeys(keys, orderId), keys.orderTombstone(orderId)];
      return (await removeOrder.run(scriptKeys, [revision])) === 1;
    },

    async endAccess(orderId, users, updateId) {
      const orderKeys = [keys.orderState(orderId), keys.orderParties(orderId)];
      const marks = (await endAccess.run(orderKeys, [updateId, ...users])) as string[];
      return new Map(marks.map((mark, index) => [users[index] as string, mark]));
    },

    async restoreParties(orderId, updateId) {
      await restoreParties.run([keys.orderState(orderId), keys.orderParties(orderId)], [updateId]);
    },

    async forgetParty(orderId, userId) {
      const timeline = keys.orderTimeline(orderId);
      const replacements = (await commands.lrange(timeline, 0, -1)).flatMap((entry) => {
        const replacement = withoutParty(entry, userId);
        return replacement === entry ? [] : [entry, replacement];
      });
      if (replacements.length > 0) await replaceEntries.run([keys.orderState(orderId), timeline], replacements);
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

/** In the order of the script's KEYS; their TTLs are renewed together. */
const savedKeys = (keys: Keys, orderId: string): string[] => [
  keys.orderState(orderId),
  keys.orderTimeline(orderId),
  keys.orderSeen(orderId),
  keys.orderParties(orderId),
  keys.orderOutbox(orderId),
  keys.orderSignals(orderId),
  keys.orderSignalMarks(orderId),
];

/** The variable lists at the end of the script's ARGV, preceded by their lengths. */
function parts(orderId: string, save: Save): (string | number)[] {
  const {
    record,
    content,
    readers = [],
    removed = new Map<string, string>(),
    state,
    updatedAt,
    applied,
    outbox,
  } = save;
  const { status, sequence, resolved } = state;
  const [held, refused] = [canonicalJson(state.held), canonicalJson(state.refused)];
  const fields = Object.entries({ status, sequence, resolved, held, refused, updatedAt });
  if (record !== undefined) fields.push(["record", canonicalJson(record)]);
  if (content !== undefined) fields.push(["content", content]);
  if (save.statusAt !== undefined) fields.push(["statusAt", save.statusAt]);
  const statuses = applied.flatMap(({ entry, eventId = "" }) => {
    const [event, more] =
      entry.update === undefined ? ["order.status"] : ["order.updated", { parties: record?.parties }];
    const tail = appendTail(event, canonicalJson({ orderId, ...entry, ...more }));
    return [canonicalJson(entry), tail, eventId];
  });
  const items = outbox.map(canonicalJson);
  const counts = [fields.length, applied.length, items.length, readers.length, removed.size];
  return [...counts, ...fields.flat(), ...statuses, ...items, ...readers, ...[...removed].flat()];
}

/** A timeline entry in which this user is no party. */
function withoutParty(text: string, userId: string): string {
  const entry = JSON.parse(text) as TimelineEntry;
  const { parties } = entry.update ?? {};
  if (parties === undefined || !Object.values(parties).includes(userId)) return text;
  const others = Object.entries(parties).map(([role, user]) => [role, user === userId ? null : user] as const);
  return canonicalJson({ ...entry, update: { ...entry.update, parties: Object.fromEntries(others) } });
}

function toLoaded(reply: ScriptReply): LoadedOrder {
  const [
    now,
    isSeen,
    hasTombstone,
    signals,
    ended,
    record,
    content,
    status,
    sequence,
    resolved,
    held,
    refused,
    revision,
    updatedAt,
    statusAt,
  ] = reply as [string, number, number, string[], string[], ...string[]];
  const loaded = {
    now: Number(now),
    isSeen: isSeen === 1,
    hasTombstone: hasTombstone === 1,
    ended: new Map(pairsOf(ended)),
  };
  if (record === undefined || record === null) return { ...loaded, order: undefined };
  const order = {
    record: JSON.parse(record) as OrderRecord,
    content: content as string,
    state: {
      status: status as string,
      sequence: Number(sequence),
      resolved: Number(resolved),
      held: JSON.parse(held as string) as HeldEvent[],
      refused: JSON.parse(refused as string) as RefusedNumber[],
    },
    revision: revision as string,
    updatedAt: Number(updatedAt),
    statusAt: statusAt === undefined || statusAt === null ? undefined : Number(statusAt),
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

const toSignals = (flat: readonly string[]): Order["signals"] =>
  Object.fromEntries(pairsOf(flat).map(([name, text]) => [name, toSignal(text)]));

function toSignal(text: string): { data: unknown; at: number } {
  const colon = text.indexOf(":");
  return { data: JSON.parse(text.slice(colon + 1)), at: Number(text.slice(0, colon)) };
}

const toItems = (reply: ScriptReply): NumberedItem[] =>
  pairsOf(reply as string[]).map(([item, number]) => ({
    item: JSON.parse(item) as OutboxItem,
    number: Number(number),
  }));
