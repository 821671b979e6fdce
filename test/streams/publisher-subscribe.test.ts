import { expect, onTestFinished, test } from "vitest";
import { createPublisher, overHttp, type StreamItem, type HttpPublisher } from "../../src/publisher/publisher.ts";
import { apiKey, startGateway } from "../support/gateway.ts";
import { freePort } from "../support/redis-server.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { eventually } from "../support/world.ts";

const file = { channels: { chat: { subscribe: "public", history: { size: 100_000, ttlSeconds: 60 } } } };

function publisherAt(url: string): HttpPublisher {
  const publisher = createPublisher(overHttp({ url, apiKey }), { minDelayMs: 5, maxDelayMs: 20 });
  onTestFinished(() => publisher.close());
  return publisher;
}

/** Short in the suite; `npm run test:streams` cuts a thousand times. */
const rounds = Number(process.env["CUTS"] ?? 20);
const timeout = 120_000 + rounds * 1_000;

/** A backend that reads a channel and keeps its position with what it has read, as in one database. */
function startReader(publisher: HttpPublisher, database: { position?: string; numbers: number[] }) {
  const opened: boolean[] = [];
  const stop = new AbortController();
  const done = (async () => {
    const { position } = database;
    for await (const item of publisher.subscribe({ channels: ["chat:a"], position, signal: stop.signal })) {
      if (item.type === "subscribed") opened.push(item.data.recovered);
      if (item.type === "publication") database.numbers.push((item.data.data as { n: number }).n);
      database.position = item.position;
    }
  })();
  return { opened, stop: () => (stop.abort(), done) };
}

async function publishNumbers(publisher: HttpPublisher, from: number, count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, index) => from + index);
  await Promise.all(numbers.map((n) => publisher.publish({ channel: "chat:a", event: "said", data: { n } })));
}

test(
  "a backend reads every publication once and in order over cuts, its own restarts and those of its loop",
  { timeout },
  async () => {
    const gateway = await startGateway({ file });
    const line: TcpProxy = await startTcpProxy({ targets: () => [{ port: Number(new URL(gateway.url).port) }] });
    onTestFinished(() => line.stop());
    const [direct, reading] = [publisherAt(gateway.url), publisherAt(`http://127.0.0.1:${line.port}`)];
    const database: { position?: string; numbers: number[] } = { numbers: [] };
    let reader = startReader(reading, database);
    await eventually(() => expect(reader.opened).toEqual([false]));

    for (let round = 0; round < rounds; round++) {
      const published = publishNumbers(direct, round * 25, 25);
      line.reset();
      if (round % 5 === 4) {
        await reader.stop();
        reader = startReader(reading, database);
      }
      await published;
    }

    await eventually(() => expect(database.numbers).toHaveLength(rounds * 25));
    expect(database.numbers).toEqual(Array.from({ length: rounds * 25 }, (_, n) => n));
    await reader.stop();
  },
);

test("reading without a position starts at the end, and `close` ends the loop", async () => {
  const { url } = await startGateway({ file });
  const publisher = publisherAt(url);
  await publishNumbers(publisher, 0, 1);
  const items: StreamItem[] = [];
  const loop = (async () => {
    for await (const item of publisher.subscribe({ channels: ["chat:a"] })) items.push(item);
  })();
  await eventually(() => expect(items).toMatchObject([{ type: "subscribed", data: { offset: 1, recovered: false } }]));
  await publishNumbers(publisher, 1, 1);
  await eventually(() => expect(items.at(-1)).toMatchObject({ type: "publication", data: { offset: 2 } }));

  await publisher.close();

  await loop;
});

test("a refusal for good ends the loop with its code; a gateway that is away does not", async () => {
  const { url } = await startGateway({ file });
  const first = (publisher: HttpPublisher, channels: string[]) => publisher.subscribe({ channels }).next();
  await expect(first(publisherAt(url), ["nonsense:a"])).rejects.toMatchObject({
    name: "PublisherError",
    operation: "subscribe",
    code: "unknown_channel",
  });
  const stranger = createPublisher(overHttp({ url, apiKey: "a key that nobody has given to anybody" }));
  await expect(first(stranger, ["chat:a"])).rejects.toMatchObject({ code: "unauthorized" });

  const port = await freePort();
  const waiting = first(publisherAt(`http://127.0.0.1:${port}`), ["chat:a"]);
  const line = await startTcpProxy({ port, targets: () => [{ port: Number(new URL(url).port) }] });
  onTestFinished(() => line.stop());

  expect(await waiting).toMatchObject({ value: { type: "subscribed" } });
});

test("publishes later, at a time or after a delay", async () => {
  const { url } = await startGateway({ file });
  const publisher = publisherAt(url);

  const { scheduleId } = await publisher.schedulePublication({
    channel: "chat:a",
    event: "said",
    data: 1,
    delayMs: 60_000,
  });

  expect((await publisher.listScheduled({})).scheduled).toMatchObject([{ scheduleId, channel: "chat:a" }]);
  expect(await publisher.cancelScheduled({ scheduleId })).toEqual({ removed: true });
});
