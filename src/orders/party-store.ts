import { appendScripts, appendTail, positionScripts } from "../channels/append.ts";
import type { Snapshot } from "../channels/answers.ts";
import { freshEpoch } from "../channels/kinds.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { OpenOrder } from "../protocol/orders.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import { idleChannelTtlSeconds, targetArgs, targetKeys, type ChannelTargets } from "./append-parts.ts";

/**
 * What each party knows of its orders; everything about one party lies in the slot of its channel `orders:{party}`.
 *
 * Order and repeats: what is told of an order carries a number that grows, and a number not above the last one told is
 * ignored. Whoever tells a status has told those before it; so a party sees each status once, in order, however many
 * nodes tell and however often. The open orders change in the same step, so a list and a position always agree.
 *
 * Edges: the list holds the `mostOpen` orders touched last; an order leaves it when it ends or its life is over.
 */
export interface PartyStore {
  tell(userId: string, news: OrderNews): Promise<void>;
  /** With the position of the party's channel at the same moment; the order touched last comes first. */
  openOrders(userId: string): Promise<Snapshot & { value: { orders: OpenOrder[] } }>;
}

export interface OrderNews {
  orderId: string;
  /** When the order began; tells it from an earlier one of the same id. */
  createdAt: number;
  /** What is numbered: statuses, or signals of one name. */
  subject: "status" | `signal:${string}`;
  number: number;
  event: string;
  data: object;
  /** How the order stands; left out by signals, which do not change the list. */
  standing?: { order: OpenOrder; hasEnded: boolean };
}

export interface PartyStoreOptions {
  /** Open orders in a user's list. @default 100 */
  mostOpen: number;
  /** Seconds an order lives after its last event. */
  lifeSeconds: number;
}

export function createPartyStore(
  { commands, keys, targets }: { commands: RedisClient; keys: Keys; targets: ChannelTargets },
  { mostOpen, lifeSeconds }: PartyStoreOptions,
): PartyStore {
  const tell = loadScript(commands, new URL("./tell.lua", import.meta.url), appendScripts);
  const readOpen = loadScript(commands, new URL("./open-orders.lua", import.meta.url), positionScripts, {
    isOrdered: false,
  });
  const listKeys = (userId: string) => [keys.openOrders(userId), keys.openOrderTexts(userId)];

  return {
    async tell(userId, { orderId, createdAt, subject, number, event, data, standing }) {
      const target = targets.target(`orders:${userId}`);
      const tail = appendTail(event, canonicalJson(data));
      await tell.run(
        [keys.deliveredOrder(userId, orderId), ...listKeys(userId), ...targetKeys(target)],
        [subject, createdAt, number, lifeSeconds, orderId, listText(standing), mostOpen, ...targetArgs(target), tail],
      );
    },

    async openOrders(userId) {
      const reply = await readOpen.run(
        [...listKeys(userId), keys.channelMeta(`orders:${userId}`)],
        [freshEpoch(), idleChannelTtlSeconds],
      );
      const [epoch, offset, ...texts] = reply as [string, string, ...string[]];
      const orders = texts.map((text) => JSON.parse(text) as OpenOrder);
      return { value: { orders }, at: { epoch, offset: Number(offset) } };
    },
  };
}

/** As `tell.lua` reads it. */
function listText(standing: OrderNews["standing"]): string {
  if (standing === undefined) return "-";
  return standing.hasEnded ? "" : canonicalJson(standing.order);
}
