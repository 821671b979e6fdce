import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { createDeliveryQueueStore, parseMessage, type DeliveryQueueStore } from "./delivery-queue-store.ts";

/** A message that could not be delivered, and why. */
export interface WebhookLetter {
  id: string;
  /** The endpoint's id, the entity, and the message as it was queued: all that is needed to queue it again. */
  command: string;
  /** The message's id. */
  key: string;
  code: "unavailable";
  reason: string;
  tries: number;
  /** Epoch milliseconds. */
  at: number;
}

/**
 * The dead letters of webhooks: the last hundred thousand, each until it is queued again, removed, or pushed out by
 * newer ones. The same calls as those of the commands' dead letters, so that one command line serves both.
 */
export interface WebhookLetterStore {
  /** The oldest first, after the letter `after`. */
  list(query: { after?: string | undefined; limit: number }): Promise<WebhookLetter[]>;
  find(id: string): Promise<WebhookLetter | undefined>;
  remove(id: string): Promise<boolean>;
  count(): Promise<number>;
  /** Queues a message again, behind what waits about its entity, for the endpoint it was for. */
  resend(command: string): Promise<void>;
}

export function createWebhookLetterStore({
  commands,
  keys,
}: {
  commands: RedisClient;
  keys: Keys;
}): WebhookLetterStore {
  const stream = keys.deadWebhooks();
  // Due at once: whoever runs this may have no queue.
  const store = createDeliveryQueueStore({ commands, keys }, { leaseMs: 0 });

  async function range(from: string, to: string, limit: number): Promise<WebhookLetter[]> {
    return (await commands.xrange(stream, from, to, "COUNT", limit)).map(toLetter);
  }

  return {
    list: ({ after, limit }) => range(after === undefined ? "-" : `(${after}`, "+", limit),
    find: async (id) => (await range(id, id, 1))[0],
    remove: async (id) => (await commands.xdel(stream, id)) === 1,
    count: () => commands.xlen(stream),
    resend: (command) => enqueueAgain(store, command),
  };
}

async function enqueueAgain(store: DeliveryQueueStore, command: string): Promise<void> {
  const { endpoint, entity, message } = JSON.parse(command) as Record<"endpoint" | "entity" | "message", string>;
  await store.enqueue(entity, parseMessage(message), [endpoint], true);
}

function toLetter([id, flat]: [id: string, fields: string[]]): WebhookLetter {
  const fields = new Map<string, string>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i] as string, flat[i + 1] as string);
  const text = (name: string): string => fields.get(name) ?? "";
  const [endpoint, entity, message] = [text("endpoint"), text("entity"), text("message")];
  return {
    id,
    command: JSON.stringify({ endpoint, entity, message }),
    key: parseMessage(message).id,
    code: "unavailable",
    reason: text("reason"),
    tries: Number(text("tries")),
    at: Number(text("at")),
  };
}
