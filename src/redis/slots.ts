import { Cluster, Command, type Redis } from "ioredis";

/** The slot of a Redis Cluster that a key falls into. */
export const slotOf = (key: string): number => new Command("get", [key]).getSlot();

/** `host:port` of a slot's master, as far as this client knows. */
export const holderOf = (cluster: Cluster, slot: number): string | undefined => cluster.slots[slot]?.[0];

export const addressOf = ({ options }: Redis): string => `${options.host}:${options.port}`;

/** Reopens the connection for a key's commands, which is open but does not reply. */
export function reconnect(client: Redis | Cluster, key: string): void {
  if (!(client instanceof Cluster)) return client.disconnect(true);
  const holder = holderOf(client, slotOf(key));
  client
    .nodes("master")
    .find((node) => addressOf(node) === holder)
    ?.disconnect();
}
