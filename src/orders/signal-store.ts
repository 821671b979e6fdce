import { appendScripts } from "../channels/append.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript, type ScriptReply } from "../redis/scripts.ts";
import { targetArgs, targetKeys, type ChannelTargets } from "./channel-targets.ts";
import type { OrderRecord } from "./order-record.ts";

/**
 * Signals of orders in Redis. Only the latest signal of each name is stored. An order's channel gets at most one per name
 * and interval: the first immediately, and the last of the others when the interval ends and `flush` is called.
 */
export interface SignalStore {
  put(
    orderId: string,
    signal: { name: string; data: unknown; idempotencyKey?: string | undefined },
    /** How long the key is remembered. */
    ttlSeconds?: number,
  ): Promise<Signalled>;
  /** Publishes the waiting signal if its interval has ended. */
  flush(orderId: string, name: string): Promise<Signalled>;
}

export type Signalled =
  /** `kept`: stored, nothing to do now; `full`: the order already has the maximum number of names. */
  | { outcome: "unknown" | "full" | "duplicate" | "kept" }
  | { outcome: "waits"; delayMs: number }
  | { outcome: "published"; number: number; data: unknown; record: OrderRecord };

export interface SignalStoreOptions {
  /** Shortest time between two publications of one name. @default 500 */
  signalEveryMs: number;
  /** Names of signals per order. @default 32 */
  signalNames: number;
  /** Seconds an idempotency key of a signal is remembered. @default 86400 */
  idempotencyTtlSeconds: number;
}

export function createSignalStore(
  { commands, keys, targets }: { commands: RedisClient; keys: Keys; targets: ChannelTargets },
  { signalEveryMs, signalNames, idempotencyTtlSeconds }: SignalStoreOptions,
): SignalStore {
  const script = loadScript(commands, new URL("./signal.lua", import.meta.url), appendScripts);

  async function run(
    orderId: string,
    {
      name,
      data,
      key,
      ttlSeconds = idempotencyTtlSeconds,
    }: { name: string; data: string; key?: string | undefined; ttlSeconds?: number | undefined },
  ): Promise<Signalled> {
    const target = targets.target(`order:${orderId}`);
    const order = keys.orderState(orderId);
    const once = key === undefined ? order : keys.orderSignalled(orderId, key);
    const start = canonicalJson({ orderId, name }).slice(0, -1);
    const tail = `"event":"order.signal","data":${start},"data":`;
    const reply = await script.run(
      [order, keys.orderSignals(orderId), keys.orderSignalMarks(orderId), once, ...targetKeys(target)],
      [name, data, signalEveryMs, signalNames, ttlSeconds, ...targetArgs(target), tail],
    );
    return toSignalled(reply);
  }

  return {
    put: (orderId, { name, data, idempotencyKey: key }, ttlSeconds) =>
      run(orderId, { name, data: canonicalJson(data), key, ttlSeconds }),
    flush: (orderId, name) => run(orderId, { name, data: "" }),
  };
}

function toSignalled(reply: ScriptReply): Signalled {
  const [outcome, ...rest] = reply as [Signalled["outcome"], ...(string | number)[]];
  if (outcome === "waits") return { outcome, delayMs: Number(rest[0]) };
  if (outcome !== "published") return { outcome };
  const [number, data, record] = rest as [string, string, string];
  return { outcome, number: Number(number), data: JSON.parse(data), record: JSON.parse(record) as OrderRecord };
}
