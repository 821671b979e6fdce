import { Cluster, Command, type Redis } from "ioredis";
import type { RedisClient } from "./connections.ts";

/** The slot of a Redis Cluster that a key falls into. */
export const slotOf = (key: string): number => new Command("get", [key]).getSlot();

/** `host:port` of whoever holds a slot, as far as this client knows. */
export const holderOf = (cluster: Cluster, slot: number): string | undefined => cluster.slots[slot]?.[0];

export const addressOf = ({ options }: Redis): string => `${options.host}:${options.port}`;

/** Ends the connection that carries a key's commands: it is open and yet nothing comes back. It is opened again by itself. */
export function reconnect(client: RedisClient, key: string): void {
  if (!(client instanceof Cluster)) return client.disconnect(true);
  const holder = holderOf(client, slotOf(key));
  client
    .nodes("master")
    .find((node) => addressOf(node) === holder)
    ?.disconnect();
}
