import { expect, test } from "vitest";
import type { Connection } from "../../src/connections/connection.ts";
import { SessionRecords, type SessionRecordsDeps } from "../../src/connections/session-records.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { quietLog } from "../support/world.ts";

const identity = { userId: "ada", sessionId: "session" };
const start = { epoch: "e", offset: 1 };

/** A node's records, with what it writes to the store. */
function startRecords() {
  const clock = new FakeClock();
  const warnings: object[] = [];
  const written: unknown[][] = [];
  const store = { isAway: false };
  const write =
    (name: string) =>
    async (...args: unknown[]): Promise<boolean> => {
      if (store.isAway) throw new Error("Redis is away");
      written.push([name, ...args]);
      return true;
    };
  const deps = {
    store: Object.fromEntries(["begin", "setState", "rewrite", "release"].map((name) => [name, write(name)])),
    channels: { startsOf: () => new Map([["chat:1", start]]), trailOf: () => undefined },
    control: { fence: { isOpen: true }, performed: "7-0" },
    hasState: () => false,
    isChannel: (room: unknown) => String(room).includes(":"),
    clock,
    log: { ...quietLog, warn: (fields: object) => warnings.push(fields) },
  } as unknown as SessionRecordsDeps;
  Object.assign(deps.store, { renew: async () => undefined });
  const records = new SessionRecords(deps, { windowSeconds: 60, renewEverySeconds: 60 });
  records.start();

  const connect = (rooms: Set<string> | undefined, data: unknown): Connection => {
    const connection = { id: "s", identity, subscriber: {}, rooms, data } as unknown as Connection;
    const session = { privateId: "p", owner: "n1|1", timestamp: 1, firstTimestamp: 1, takes: 0, isPersisted: false };
    records.add(connection, session);
    return connection;
  };
  /** What was written since the last call. */
  const next = (): unknown[][] => written.splice(0);
  return { clock, records, connect, next, store, warnings };
}

const stateIn = ([, , , record]: unknown[]): unknown => (record as { socketState?: string }).socketState;

test("a socket to which no app has given anything costs no write, and no byte in the record", async () => {
  const { clock, records, connect, next } = startRecords();
  const connection = connect(new Set(["s", "chat:1"]), { user: identity });

  await records.persist(connection);
  records.roomsChanged(connection, ["s", "chat:1"]);
  await clock.advance(120_000);
  await records.end(connection, true);

  const [begun, released, ...others] = next();
  expect(stateIn(begun!)).toBeUndefined();
  expect(released).toEqual(["release", "p", "n1|1", "7-0", { trail: undefined }]);
  expect(others).toEqual([]);
});

test("rooms are written soon after they change, together, and only if that made a difference", async () => {
  const { clock, records, connect, next } = startRecords();
  const rooms = new Set(["s", "chat:1", "table-7"]);
  const connection = connect(rooms, { name: "Ada" });
  await records.persist(connection);
  expect(stateIn(next()[0]!)).toBe('{"rooms":["table-7"],"data":{"name":"Ada"}}');

  for (const room of ["table-8", "table-9"]) records.roomsChanged(connection, [rooms.add(room) && room]);
  await clock.advance(100);
  expect(next()).toEqual([
    ["setState", "p", "n1|1", '{"rooms":["table-7","table-8","table-9"],"data":{"name":"Ada"}}'],
  ]);

  records.roomsChanged(connection, ["table-9"]);
  await clock.advance(100);
  expect(next()).toEqual([]);
});

test("data that has changed is written with the renewal, and with the end of the connection", async () => {
  const { clock, records, connect, next } = startRecords();
  const data: Record<string, unknown> = {};
  const connection = connect(new Set(["s"]), data);
  await records.persist(connection);
  next();

  data["score"] = 1;
  await clock.advance(61_000);
  expect(next()).toEqual([["setState", "p", "n1|1", '{"rooms":[],"data":{"score":1}}']]);
  await clock.advance(60_000);
  expect(next()).toEqual([]);

  delete data["score"];
  await clock.advance(60_000);
  expect(next()).toEqual([["setState", "p", "n1|1", ""]]);
  data["score"] = 2;
  await records.end(connection, true);
  const socketState = '{"rooms":[],"data":{"score":2}}';
  expect(next()).toEqual([["release", "p", "n1|1", "7-0", { trail: undefined, socketState }]]);
});

test("what Redis could not take is written when it is back", async () => {
  const { clock, records, connect, next, store } = startRecords();
  const rooms = new Set(["s"]);
  const connection = connect(rooms, {});
  await records.persist(connection);
  next();

  store.isAway = true;
  rooms.add("table-7");
  records.roomsChanged(connection, ["table-7"]);
  await clock.advance(1_000);
  store.isAway = false;
  await clock.advance(1_000);

  expect(next()).toEqual([["setState", "p", "n1|1", '{"rooms":["table-7"],"data":{}}']]);
});

test("what Redis may have lost is written again, of connections and of clients that are away", async () => {
  const { clock, records, connect, next } = startRecords();
  const connection = connect(new Set(["s", "table-7"]), {});
  await records.persist(connection);
  next();

  records.rewriteAll();
  await clock.advance(100);
  await records.end(connection, true);
  records.rewriteAll();
  await clock.advance(100);

  const rewritten = next().filter(([name]) => name === "rewrite");
  expect(rewritten.map(([, , , , record]) => (record as { socketState?: string }).socketState)).toEqual(
    Array.from({ length: 2 }, () => '{"rooms":["table-7"],"data":{}}'),
  );
});

test("a socket that has left its rooms unseen ends with the state that is recorded", async () => {
  const { records, connect, next } = startRecords();
  const connection = connect(new Set(["s", "table-7"]), {});
  await records.persist(connection);
  next();

  Object.assign(connection, { rooms: undefined });
  await records.end(connection, true);

  expect(next()).toMatchObject([["release", "p", "n1|1", "7-0", { socketState: '{"rooms":["table-7"],"data":{}}' }]]);
});

test("a state that cannot be recorded is named in the log, once for as long as it stays so", async () => {
  const { clock, records, connect, warnings } = startRecords();
  const data: Record<string, unknown> = { cart: new Map() };
  const connection = connect(new Set(["s"]), data);

  await records.persist(connection);
  await clock.advance(300_000);
  expect(warnings).toEqual([{ userId: "ada", problem: "data.cart is not JSON: Map" }]);

  data["cart"] = {};
  await clock.advance(60_000);
  data["cart"] = new Set();
  await clock.advance(60_000);
  await settled();
  expect(warnings.at(-1)).toEqual({ userId: "ada", problem: "data.cart is not JSON: Set" });
});
