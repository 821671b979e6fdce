/**
 * Run by each runtime in plain JavaScript: reads channels with the client, over both transports, and with the publisher, is cut off,
 * and publishes what they miss. Arguments: the URL that is cut off, the URL of another node, an API key, the URL of Redis, the prefix
 * of its keys. Prints `subscribed`, after
 * which it waits to be cut off, `missed`, after which it waits to be let in again, and what each reader received.
 */
import { connect } from "@tidegate/client";
import { createPublisher, overHttp, overStream } from "@tidegate/publisher";
import { Redis } from "ioredis";

const [url, otherUrl, apiKey, redisUrl, prefix] = process.argv.slice(2);
const delays = { minDelayMs: 50, maxDelayMs: 100 };
const name = `chat:${crypto.randomUUID()}`;
const publisher = createPublisher(overHttp({ url: otherUrl, apiKey }));
const redis = new Redis(redisUrl);
const durable = createPublisher(overStream({ redis, prefix }));
const publish = (data, by = publisher) => by.publish({ channel: name, event: "counted", data });

async function until(isTrue) {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Resolves when the client has subscribed. */
async function readWithClient(transport) {
  const received = [];
  let tokens = 0;
  const token = async () => {
    tokens += 1;
    return (await publisher.createSession({ userId: transport })).token;
  };
  const client = connect(url, { token, backoff: delays, socket: { transports: [transport] } });
  const channel = client.channel(name);
  channel.on("publication", ({ data, recovered }) => received.push(recovered ? `${data} recovered` : `${data}`));
  await channel.subscribe();
  const lost = new Promise((resolve) => client.socket.once("disconnect", resolve));
  const result = () => ({
    transport: client.socket.io.engine.transport.name,
    received,
    asksForAnotherToken: tokens > 1,
  });
  return { received, lost, result, publish: (data) => channel.publish("counted", data), close: () => client.close() };
}

/** Resolves when the stream is open. */
async function readWithPublisher() {
  const reader = createPublisher(overHttp({ url, apiKey }), delays);
  const received = [];
  const openings = [];
  const reading = (async () => {
    for await (const { type, data } of reader.subscribe({ channels: [name] })) {
      if (type === "subscribed") openings.push(data.recovered);
      if (type === "publication") received.push(`${data.data}`);
    }
  })();
  await until(() => openings.length === 1);
  return { received, result: () => ({ received, openings }), close: () => reader.close().then(() => reading) };
}

const readers = await Promise.all([readWithClient("websocket"), readWithClient("polling"), readWithPublisher()]);
const allHave = (count) => until(() => readers.every(({ received }) => received.length === count));
await publish(1);
await allHave(1);
console.log("subscribed");
await Promise.all(readers.map(({ lost }) => lost));
await publish(2);
await publish(3);
console.log("missed");
await allHave(3);
await readers[0].publish(4);
await publish(5, durable);
await allHave(5);
console.log(JSON.stringify(readers.map(({ result }) => result())));
await Promise.all([publisher.close(), durable.close(), ...readers.map(({ close }) => close())]);
redis.disconnect();
