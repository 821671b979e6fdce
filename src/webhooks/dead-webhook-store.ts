import type { RedisClient } from "../redis/connections.ts";
import { createDeadLetterStore, type DeadLetterStore } from "../redis/queues/dead-letters.ts";
import type { Keys } from "../redis/keys.ts";
import { createDeliveryQueueStore, parseMessage } from "./delivery-queue-store.ts";

/**
 * Webhook messages that could not be delivered. `command` contains what is needed to queue a message again: the id of the
 * endpoint, the entity, and the message; `key` is the id of the message.
 */
export function createDeadWebhookStore({ commands, keys }: { commands: RedisClient; keys: Keys }): DeadLetterStore {
  // Due at once, because this process may not deliver webhooks.
  const queues = createDeliveryQueueStore({ commands, keys }, { leaseMs: 0 });
  const sentOnce = (id: string): string => `dead:${id}`;
  return createDeadLetterStore({
    commands,
    stream: keys.deadWebhooks(),
    parse: (fields) => {
      const text = (name: string): string => fields.get(name) ?? "";
      const [endpoint, entity, message] = [text("endpoint"), text("entity"), text("message")];
      const command = JSON.stringify({ endpoint, entity, message });
      const { id: key } = parseMessage(message);
      return { command, key, code: "unavailable", reason: text("reason"), tries: Number(text("tries")) };
    },
    async resend({ id, command }) {
      const { endpoint, entity, message } = JSON.parse(command) as Record<"endpoint" | "entity" | "message", string>;
      await queues.enqueue(entity, parseMessage(message), [endpoint], sentOnce(id));
    },
    sentKey: (id) => keys.webhookAccepted(sentOnce(id)),
  });
}
