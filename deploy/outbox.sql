-- The outbox of Tidegate: run this file once in your application's database (psql -f outbox.sql). Running it again is
-- harmless. An insert into tidegate_outbox, in the same transaction as the change it announces, is a command:
--
--   INSERT INTO tidegate_outbox (key, command)
--   VALUES ('order-17', '{"type": "order.event", "orderId": "order-17", "status": "confirmed"}');
--
-- Commands of one key are performed in the order of their ids, one after the other; without a key a command has no
-- order. Transactions that write commands of the same key at the same time should lock a row first (for example that of
-- the order): ids are assigned before the transactions commit.
--
-- The gateway needs SELECT, UPDATE and DELETE on tidegate_outbox (and INSERT, for operators to replay dead letters), and SELECT,
-- INSERT and DELETE on tidegate_outbox_dead.

CREATE TABLE IF NOT EXISTS tidegate_outbox (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  -- Commands of one key are performed in order.
  key        text        NOT NULL DEFAULT gen_random_uuid()::text CHECK (key <> ''),
  -- The same JSON as in the commands stream.
  command    json        NOT NULL,
  -- Identifies the row to the gateway, which performs each once.
  uid        uuid        NOT NULL DEFAULT gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT now(),
  -- Written by the gateway.
  tries      integer     NOT NULL DEFAULT 0,
  retry_at   timestamptz
);

CREATE UNIQUE INDEX IF NOT EXISTS tidegate_outbox_key ON tidegate_outbox (key, id);

-- Rows live for moments: vacuum by count, not by the share of a large table.
ALTER TABLE tidegate_outbox SET (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 10000,
  autovacuum_analyze_scale_factor = 0,
  autovacuum_analyze_threshold = 100000
);

-- Commands that could not be performed, with the reason. The gateway removes them after 30 days.
CREATE TABLE IF NOT EXISTS tidegate_outbox_dead (
  id         bigint      PRIMARY KEY,
  key        text        NOT NULL,
  command    json        NOT NULL,
  uid        uuid        NOT NULL,
  created_at timestamptz NOT NULL,
  tries      integer     NOT NULL,
  code       text        NOT NULL,
  reason     text        NOT NULL,
  died_at    timestamptz NOT NULL DEFAULT now()
);

-- Wakes the gateway.
CREATE OR REPLACE FUNCTION tidegate_outbox_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('tidegate_outbox', '');
  RETURN NULL;
END
$$;

DROP TRIGGER IF EXISTS tidegate_outbox_notify ON tidegate_outbox;
CREATE TRIGGER tidegate_outbox_notify AFTER INSERT ON tidegate_outbox
  FOR EACH STATEMENT EXECUTE FUNCTION tidegate_outbox_notify();

-- Hands dead letters in again, behind what is waiting: SELECT tidegate_outbox_replay(ARRAY[17, 18]), or without an
-- argument all of them. Returns how many.
CREATE OR REPLACE FUNCTION tidegate_outbox_replay(ids bigint[] DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
  WITH dead AS (
    DELETE FROM tidegate_outbox_dead WHERE ids IS NULL OR id = ANY (ids) RETURNING id, key, command, uid
  ), replayed AS (
    INSERT INTO tidegate_outbox (key, command, uid) SELECT key, command, uid FROM dead ORDER BY id RETURNING id
  )
  SELECT count(*) FROM replayed
$$;
