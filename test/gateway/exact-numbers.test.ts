import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { apiKey, startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

/** One more than the last whole number that JavaScript can count to. */
const tooLarge = "9007199254740993";

test("a number that JavaScript cannot hold is refused by name over HTTP, in names, payloads, scores and offsets", async () => {
  const { url } = await startGateway({ file: { channels: { chat: {} }, leaderboards: { "*": {} } } });
  const send = async (method: string, path: string, body?: string) => {
    const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
    const response = await fetch(url + path, { method, headers, ...(body === undefined ? {} : { body }) });
    const { status, field } = (await response.json()) as { status: number; field: string };
    return [status, field];
  };

  expect([
    await send("POST", "/v1/publish", `{"channel":"chat:1","event":"e","data":{"id":${tooLarge}}}`),
    await send("POST", "/v1/orders", `{"orderId":${tooLarge},"parties":{}}`),
    await send("POST", "/v1/orders", `{"orderId":"o","parties":{},"data":[0.1234567890123456789]}`),
    await send("PUT", "/v1/leaderboards/b/scores/m", `{"score":-${tooLarge}}`),
    await send("GET", `/v1/channels/chat%3A1/history?epoch=x&offset=${tooLarge}`),
    await send("POST", "/v1/publish", '{"channel":"chat:1","channel":"chat:2","event":"e","data":1}'),
    await send("POST", "/v1/orders", '{"orderId":"..","parties":{}}'),
  ]).toEqual([
    [400, "data.id"],
    [400, "orderId"],
    [400, "data[0]"],
    [400, "score"],
    [400, "offset"],
    [400, "channel"],
    [400, "orderId"],
  ]);
});

test("it is refused by name to clients, and of the commands stream becomes a dead letter that names it", async () => {
  const file = { channels: { chat: { subscribe: "public", publish: "public" } } };
  const { prefix, connect, signIn } = await startGateway({ file });
  const client = await connect((await signIn("ada")).token);
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  const keys = createKeys(prefix);
  const answers: string[] = [];
  client.io.engine.on("data", (text: string) => answers.push(text));

  client.io.engine.write(`29["publish",{"channel":"chat:1","event":"e","data":{"id":${tooLarge}}}]`);
  await redis.xadd(
    keys.commands(),
    "*",
    "command",
    `{"type":"publish","channel":"chat:1","event":"e","data":[${tooLarge}]}`,
  );

  await eventually(() => expect(answers.at(-1)).toContain('"message":"data.id: is a number with too many digits'));
  await eventually(async () => {
    const [[, fields] = []] = await redis.xrange(keys.deadCommands(), "-", "+");
    expect(fields?.[5]).toContain("data[0]: is a number with too many digits");
  });
});
