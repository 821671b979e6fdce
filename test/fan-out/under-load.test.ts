import { expect, it } from "vitest";
import { startGateway, told, type BackendCalls, type Client } from "../support/gateway.ts";
import { eventually, freshPrefix } from "../support/world.ts";
import { range } from "./audience.ts";

const channel = "chat:lobby";
const file = { channels: { chat: { subscribe: "public", history: { size: 20_000, ttlSeconds: 60 } } } };

/** Publishes without a pause until told to stop; resolves with the last offset. */
function publishing({ call }: BackendCalls): () => Promise<number> {
  const publications = range(1, 20).map((n) => ({ channel, event: "said", data: { n, text: "x".repeat(100) } }));
  let isDone = false;
  const done = (async () => {
    for (;;) {
      const { body } = await call("POST", "/v1/publish/batch", { publications });
      if (isDone) return body.results.at(-1).offset as number;
    }
  })();
  return () => {
    isDone = true;
    return done;
  };
}

const offsetsOf = (client: Client): number[] => told(client, "publication").map(({ offset }) => offset as number);

it.each(["websocket", "polling"] as const)(
  "a stock client over %s that is cut again and again at full rate gets each publication once, in order",
  { timeout: 120_000 },
  async (transport) => {
    const prefix = freshPrefix();
    const node = await startGateway({ prefix, file });
    const other = await startGateway({ prefix, file });
    const { token } = await node.signIn("ada");
    const client = await node.connect(token, { transports: [transport], reconnection: true, reconnectionDelay: 5 });
    const { offset: first } = (await client.emitWithAck("subscribe", { channel })) as { offset: number };
    const stop = publishing(other);
    const recovered: boolean[] = [];
    client.on("connect", () => recovered.push(client.recovered));

    for (const cut of range(1, 8)) {
      const seen = offsetsOf(client).length;
      await eventually(() => expect(offsetsOf(client).length).toBeGreaterThan(seen + 50));
      client.io.engine.close();
      await eventually(() => expect(recovered).toHaveLength(cut));
    }
    const last = await stop();
    await eventually(() => expect(offsetsOf(client).at(-1)).toBe(last));

    expect(recovered).toEqual(range(1, 8).map(() => true));
    expect(offsetsOf(client)).toEqual(range(first + 1, last));
  },
);

it("a node that drains at full rate sends all it has before it says goodbye", { timeout: 120_000 }, async () => {
  const prefix = freshPrefix();
  const node = await startGateway({ prefix, file });
  const other = await startGateway({ prefix, file });
  const { token } = await node.signIn("ada");
  const clients = await Promise.all(range(1, 10).map(() => node.connect(token)));
  const answers = await Promise.all(clients.map((client) => client.emitWithAck("subscribe", { channel })));
  const stop = publishing(other);
  await eventually(() => {
    for (const client of clients) expect(offsetsOf(client).length).toBeGreaterThan(50);
  });

  expect(await node.gateway.drain()).toBe(true);
  await eventually(() => expect(clients.filter(({ connected }) => connected)).toEqual([]));
  const moved = await Promise.all(clients.map(() => other.connect(token)));
  const back = await Promise.all(
    moved.map((client, n) => {
      const since = { epoch: answers[n].epoch, offset: offsetsOf(clients[n] as Client).at(-1) };
      return client.emitWithAck("subscribe", { channel, since });
    }),
  );
  const last = await stop();
  await eventually(() => {
    for (const client of moved) expect(offsetsOf(client).at(-1)).toBe(last);
  });

  for (const [n, client] of clients.entries()) {
    expect(client.events.at(-1)).toMatchObject(["closing", { code: "drain" }]);
    const missed = back[n].publications.map(({ offset }: { offset: number }) => offset);
    const all = [...offsetsOf(client), ...missed, ...offsetsOf(moved[n] as Client)];
    expect(all).toEqual(range(answers[n].offset + 1, last));
  }
});
