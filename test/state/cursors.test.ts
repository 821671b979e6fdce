import { describe, expect, test } from "vitest";
import { startGateway, told, type Client } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { channel, follow, set } from "./board.ts";

/** Limits as they are by default. */
const file = { channels: { board: { subscribe: "public", publish: "public", state: true } } };

const people = 200;
const movesEach = 20;
const everyMs = 50;
/** Changes of so many milliseconds come in one event. */
const windowMs = 50;

async function arrive(): Promise<Client[]> {
  const gateway = await startGateway({ file });
  const tokens = await Promise.all(
    Array.from({ length: people }, async (_, n) => (await gateway.signIn(`user-${n}`)).token),
  );
  return Promise.all(tokens.map((token) => gateway.connect(token)));
}

/** Everybody moves every twentieth of a second, in the same order. */
async function move(
  clients: readonly Client[],
  moveOne: (client: Client, index: number, n: number) => Promise<unknown>,
) {
  const answers: Promise<unknown>[] = [];
  const startedAt = performance.now();
  for (let n = 1; n <= movesEach; n += 1) {
    answers.push(...clients.map((client, index) => moveOne(client, index, n)));
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, startedAt + n * everyMs - performance.now())));
  }
  return Promise.all(answers);
}

const closings = (clients: readonly Client[]) => clients.flatMap((client) => told(client, "closing"));

describe("cursors of two hundred people at twenty moves a second", () => {
  test(
    "as keys of the state are all accepted, close nobody, and end where they were set last",
    { timeout: 120_000 },
    async () => {
      const clients = await arrive();
      const views = await Promise.all(clients.slice(0, 5).map((client) => follow(client)));
      await Promise.all(clients.slice(5).map((client) => client.emitWithAck("subscribe", { channel })));

      const begun = performance.now();
      const answers = await move(clients, (client, index, n) =>
        set(client, `cursor:${index}`, { x: n, y: index }, { own: true }),
      );

      expect(answers.filter((answer) => !(answer as { ok: boolean }).ok)).toEqual([]);
      const last = Object.fromEntries(clients.map((_, index) => [`cursor:${index}`, { x: movesEach, y: index }]));
      for (const view of views) await eventually(() => expect(view.values()).toEqual(last));
      expect(closings(clients)).toEqual([]);
      const events = told(clients[0]!, "state").length;
      const windows = (performance.now() - begun) / windowMs + 1;
      expect(events).toBeLessThan(Math.max(people * movesEach * 0.1, windows));
    },
  );

  test("as ephemeral publications are accepted and close nobody", { timeout: 120_000 }, async () => {
    const clients = await arrive();
    // Everybody sends; as many as read them as a screen could show.
    await Promise.all(clients.slice(0, 20).map((client) => client.emitWithAck("subscribe", { channel })));

    const answers = await move(clients, (client, index, n) =>
      client.emitWithAck("publish", { channel, event: "moved", data: { index, n }, ephemeral: true }),
    );

    expect(answers.filter((answer) => !(answer as { ok: boolean }).ok)).toEqual([]);
    expect(closings(clients)).toEqual([]);
  });
});

test("changes of state and ephemeral publications have a bucket of bytes of their own", async () => {
  const limits = {
    ephemeral: { capacity: 1_024, refillPerSecond: 1 },
    messages: { capacity: 5, refillPerSecond: 0.001 },
    payloadBytes: 1_024,
  };
  const gateway = await startGateway({ file: { ...file, limits } });
  const client = await gateway.connect((await gateway.signIn("ada")).token);
  const refused = { ok: false, error: { code: "rate_limited", retryAfterMs: expect.any(Number) } };
  const outcomes: boolean[] = [];

  // The bucket holds two of the largest messages, and each counts for 256 bytes at least.
  for (let n = 0; n < 8; n += 1) outcomes.push((await set(client, "k", n)).ok);
  expect(outcomes).toEqual(Array.from({ length: 8 }, () => true));
  expect(await set(client, "k", 9)).toMatchObject(refused);
  const publication = { channel, event: "moved", data: 1 };
  expect(await client.emitWithAck("publish", { ...publication, ephemeral: true })).toMatchObject(refused);

  for (let n = 0; n < 5; n += 1) expect(await client.emitWithAck("publish", publication)).toMatchObject({ ok: true });
  expect(await client.emitWithAck("publish", publication)).toMatchObject(refused);
});
