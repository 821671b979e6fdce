import { GatewayError } from "../../protocol/errors.ts";
import type { DeadLetterOutcome, DeadLetters, StoredDeadLetter } from "../../redis/queues/dead-letters.ts";
import type { ConnectDatabase, Database } from "./postgres.ts";

const isRowId = (id: string): boolean => /^\d{1,18}$/.test(id);

/** Dead letters of the outbox, in its database; each call has a connection of its own, because operators are rare. */
export function createOutboxDeadLetters(connect: ConnectDatabase): Pick<DeadLetters, "list" | "replay" | "remove"> {
  async function withDatabase<T>(use: (database: Database) => Promise<T>): Promise<T> {
    let database: Database | undefined;
    try {
      database = await connect(() => undefined);
      return await use(database);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new GatewayError("unavailable", `The outbox does not answer: ${reason}`, { cause: error });
    } finally {
      await database?.close().catch(() => undefined);
    }
  }

  async function act(ids: readonly string[], statement: string): Promise<DeadLetterOutcome> {
    const rows = await withDatabase(({ query }) => query<{ id: string }>(statement, [ids.filter(isRowId)]));
    const done = rows.map(({ id }) => id);
    return { done, missing: ids.filter((id) => !done.includes(id)) };
  }

  return {
    async list({ after = "0", limit = 100 } = {}) {
      if (!isRowId(after)) return [];
      const rows = await withDatabase(({ query }) => query<DeadRow>(listRows, [after, limit]));
      return rows.map(toStored);
    },
    replay: (ids) => act(ids, replayRows),
    remove: (ids) => act(ids, removeRows),
  };
}

interface DeadRow {
  id: string;
  key: string;
  command: string;
  code: string;
  reason: string;
  tries: number;
  at: number;
}

const toStored = (row: DeadRow): StoredDeadLetter => ({ ...row, at: Math.round(row.at) });

const listRows = `
  SELECT id::text, key, command::text, code, reason, tries, extract(epoch FROM died_at)::float8 * 1000 AS at
  FROM tidegate_outbox_dead WHERE id > $1::bigint ORDER BY id LIMIT $2`;

/** As `tidegate_outbox_replay` does, but it says which. */
const replayRows = `
  WITH dead AS (
    DELETE FROM tidegate_outbox_dead WHERE id = ANY ($1::bigint[]) RETURNING id, key, command, uid
  ), replayed AS (
    INSERT INTO tidegate_outbox (key, command, uid) SELECT key, command, uid FROM dead ORDER BY id
  )
  SELECT id::text FROM dead`;

const removeRows = "DELETE FROM tidegate_outbox_dead WHERE id = ANY ($1::bigint[]) RETURNING id::text";
