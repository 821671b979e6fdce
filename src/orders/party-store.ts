import { appendScripts, appendTail, positionScripts } from "../channels/append.ts";
import type { Snapshot } from "../channels/subscription.ts";
import { freshEpoch } from "../channels/kinds.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { OpenOrder } from "../protocol/order.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import { indexMember, indexScript, orderIndexKeys } from "./order-index-store.ts";
import { idleChannelTtlSeconds, targetArgs, targetKeys, type ChannelTargets } from "./channel-targets.ts";

/**
 * Notifications to parties and their lists of open orders. All keys of a party are in the slot of `orders:{party}`.
 *
 * Order and repeats: notifications about an order carry an increasing number, and a number that is not above the last
 * one is ignored. A status is sent only after those before it; so a party sees each status once, in order, no matter how
 * many nodes send it and how often. The list changes in the same script, so the list always matches the position.
 *
 * Bounds: the list holds the `maxOpen` orders updated last; an order leaves it when it ends or expires. Ten times as many
 * are stored, so that the list fills up again.
 */
export interface PartyStore {
  notify(userId: string, notification: PartyNotification): Promise<void>;
  /** Read atomically with the position of the party's channel; the order updated last comes first. */
  openOrders(userId: string): Promise<Snapshot & { value: { orders: OpenOrder[] } }>;
  /** Deletes the user's lists. What was delivered about these orders is remembered for a minute, against late repeats. */
  forget(userId: string, orderIds: readonly string[]): Promise<void>;
}

export interface PartyNotification {
  orderId: string;
  /** Creation time of the order; distinguishes it from an earlier order with the same id. */
  createdAt: number;
  /** What `number` counts: changes of the order, or signals of one name. */
  subject: "order" | `signal:${string}`;
  number: number;
  event: string;
  data: object;
  /** Updates the list of open orders; omitted by signals, which leave it as it is. */
  listEntry?: { order: OpenOrder; hasEnded: boolean } | "removed";
}

export interface PartyStoreOptions {
  /** Open orders in a user's list. @default 100 */
  maxOpen: number;
  /** Seconds an order lives after its last event. */
  lifeSeconds: number;
}

/** Longer than a node may take to deliver what it has read from an outbox. */
const lateRepeatSeconds = 60;

export function createPartyStore(
  { commands, keys, targets }: { commands: RedisClient; keys: Keys; targets: ChannelTargets },
  { maxOpen, lifeSeconds }: PartyStoreOptions,
): PartyStore {
  const notifyScript = loadScript(commands, new URL("./notify.lua", import.meta.url), [...appendScripts, indexScript]);
  const readOpen = loadScript(commands, new URL("./open-orders.lua", import.meta.url), positionScripts, {
    isOrdered: false,
  });
  const listKeys = (userId: string) => [keys.openOrders(userId), keys.openOrderTexts(userId)];

  return {
    async notify(userId, { orderId, createdAt, subject, number, event, data, listEntry }) {
      const target = targets.target(`orders:${userId}`);
      const tail = appendTail(event, canonicalJson(data));
      await notifyScript.run(
        [
          keys.deliveredOrder(userId, orderId),
          ...listKeys(userId),
          ...orderIndexKeys(keys, userId),
          ...targetKeys(target),
        ],
        [
          subject,
          createdAt,
          number,
          lifeSeconds,
          orderId,
          ...listArgs(listEntry),
          maxOpen,
          indexMember({ orderId, createdAt }),
          ...targetArgs(target),
          tail,
        ],
      );
    },

    async openOrders(userId) {
      const reply = await readOpen.run(
        [...listKeys(userId), keys.channelMeta(`orders:${userId}`)],
        [freshEpoch(), idleChannelTtlSeconds, maxOpen],
      );
      const [epoch, offset, ...texts] = reply as [string, string, ...string[]];
      const orders = texts.map((text) => JSON.parse(text) as OpenOrder);
      return { value: { orders }, at: { epoch, offset: Number(offset) } };
    },

    async forget(userId, orderIds) {
      await commands.unlink(...listKeys(userId), ...orderIndexKeys(keys, userId));
      const delivered = orderIds.map((orderId) => keys.deliveredOrder(userId, orderId));
      await Promise.all(delivered.map((key) => commands.expire(key, lateRepeatSeconds)));
    },
  };
}

/** The list arguments of `notify.lua`: the open order as JSON, and its status. */
function listArgs(listEntry: PartyNotification["listEntry"]): [text: string, status: string] {
  if (listEntry === undefined) return ["-", ""];
  if (listEntry === "removed") return ["", ""];
  const { order, hasEnded } = listEntry;
  return [hasEnded ? "" : canonicalJson(order), order.status];
}
