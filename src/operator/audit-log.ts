import type { AuditEntry } from "../protocol/operator/operator-reasons.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";

/** Who did what to whom: acts of operators, and of backends on live connections. The last ten thousand, in Redis. */
export interface AuditLog {
  add(entry: Omit<AuditEntry, "id" | "at">): Promise<void>;
  /** Newest first; `before` is the id of an entry. */
  list(query: { before?: string | undefined; limit: number }): Promise<AuditEntry[]>;
}

const maxEntries = 10_000;

export function createAuditLog({ commands, keys }: { commands: RedisClient; keys: Keys }): AuditLog {
  const stream = keys.operatorAudit();
  return {
    async add(entry) {
      await commands.xadd(stream, "MAXLEN", "~", maxEntries, "*", "entry", JSON.stringify(entry));
    },
    async list({ before, limit }) {
      const entries = await commands.xrevrange(stream, before === undefined ? "+" : `(${before}`, "-", "COUNT", limit);
      return entries.map(([id, [, json = "{}"]]) => ({
        ...(JSON.parse(json) as Omit<AuditEntry, "id" | "at">),
        id,
        at: Number(id.split("-")[0]),
      }));
    },
  };
}
