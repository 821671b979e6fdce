import type { Database } from "./postgres.ts";

/**
 * The table `tidegate_outbox` (`deploy/outbox.sql`).
 *
 * The first row of a key is locked while rows of that key are performed, by one node at a time; other nodes skip it. The
 * lock ends with the transaction, so with the node. Keys are visited in turn, so that a long queue of one key does not
 * delay the others, and no query reads more rows than it returns.
 */
export interface OutboxRow {
  id: string;
  key: string;
  /** Text of the command, cut off behind its max length. */
  command: string;
  uid: string;
  tries: number;
}

/** What becomes of a row. */
export type RowOutcome =
  | { id: string; is: "done" }
  | { id: string; is: "dead"; code: string; reason: string }
  | { id: string; is: "retried"; delayMs: number };

export interface FirstRows {
  ids: string[];
  /** Where to continue; empty after the last key. */
  nextKey: string;
}

/** Keys with rows, after `afterKey`, with their first rows. */
export async function readFirstRows(database: Database, afterKey: string, max: number): Promise<FirstRows> {
  const rows = await database.query(firstRows, [afterKey, max]);
  const last = rows.at(-1) as { key: string } | undefined;
  return { ids: rows.map(({ id }) => String(id)), nextKey: rows.length < max ? "" : (last?.key ?? "") };
}

const firstRows = `
  WITH RECURSIVE firsts AS (
    (SELECT key, id FROM tidegate_outbox WHERE key > $1 ORDER BY key, id LIMIT 1)
    UNION ALL
    SELECT next.key, next.id
    FROM firsts, LATERAL (
      SELECT key, id FROM tidegate_outbox WHERE key > firsts.key ORDER BY key, id LIMIT 1
    ) AS next
  )
  SELECT key, id FROM firsts LIMIT $2`;

/**
 * Locks the first rows that no other node has locked and that are not waiting to be retried, and reads at most `perKey` rows
 * of each key, in order. Call within a transaction.
 */
export async function lockRows(
  database: Database,
  ids: readonly string[],
  { perKey, maxLength }: { perKey: number; maxLength: number },
): Promise<OutboxRow[]> {
  return database.query<OutboxRow>(lock, [ids, perKey, maxLength + 1]);
}

const lock = `
  WITH locked AS MATERIALIZED (
    SELECT id, key FROM tidegate_outbox
    WHERE id = ANY ($1::bigint[]) AND (retry_at IS NULL OR retry_at <= clock_timestamp())
    FOR UPDATE SKIP LOCKED
  )
  SELECT rows.id::text, rows.key, left(rows.command::text, $3) AS command, rows.uid::text, rows.tries
  FROM locked, LATERAL (
    SELECT * FROM tidegate_outbox AS own WHERE own.key = locked.key AND own.id >= locked.id ORDER BY own.id LIMIT $2
  ) AS rows
  ORDER BY rows.key, rows.id`;

/** Writes what became of rows. Call within the transaction that locked them. */
export async function writeOutcomes(database: Database, outcomes: readonly RowOutcome[]): Promise<void> {
  const done = outcomes.filter(({ is }) => is === "done").map(({ id }) => id);
  if (done.length > 0) await database.query("DELETE FROM tidegate_outbox WHERE id = ANY ($1::bigint[])", [done]);
  const dead = outcomes.filter((outcome) => outcome.is === "dead");
  if (dead.length > 0)
    await database.query(addDeadLetter, [
      dead.map(({ id }) => id),
      dead.map(({ code }) => code),
      dead.map(({ reason }) => reason),
    ]);
  for (const outcome of outcomes) {
    if (outcome.is === "retried") await database.query(retry, [outcome.id, outcome.delayMs]);
  }
}

const addDeadLetter = `
  WITH failures AS (
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[]) AS failure (id, code, reason)
  ), gone AS (
    DELETE FROM tidegate_outbox WHERE id = ANY ($1::bigint[]) RETURNING *
  )
  INSERT INTO tidegate_outbox_dead (id, key, command, uid, created_at, tries, code, reason)
  SELECT gone.id, key, command, uid, created_at, tries + 1, failures.code, failures.reason
  FROM gone JOIN failures ON failures.id = gone.id
  ON CONFLICT (id) DO NOTHING`;

const retry = `
  UPDATE tidegate_outbox SET tries = tries + 1, retry_at = clock_timestamp() + $2 * interval '1 millisecond'
  WHERE id = $1`;

/** Age in seconds of the oldest row; 0 if there is none. */
export async function readLag(database: Database): Promise<number> {
  const [row] = await database.query(
    "SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 AS lag FROM tidegate_outbox ORDER BY id LIMIT 1",
  );
  return Math.max(Number(row?.["lag"] ?? 0), 0);
}

/** At most `max`, because they are counted one by one. */
export async function countDeadLetters(database: Database, max: number): Promise<number> {
  const [row] = await database.query(
    "SELECT count(*) AS count FROM (SELECT 1 FROM tidegate_outbox_dead LIMIT $1) AS dead",
    [max],
  );
  return Number(row?.["count"] ?? 0);
}

export async function removeOldDeadLetters(database: Database): Promise<void> {
  await database.query("DELETE FROM tidegate_outbox_dead WHERE died_at < now() - interval '30 days'");
}
