import { Redis } from "ioredis";
import { expect, inject, onTestFinished, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

const garbage = 300;

test("garbage on any Redis channel or stream of the gateway is logged, and far less often than it comes", async () => {
  const lines: string[] = [];
  const log = createLogger({ level: "info", destination: { write: (line: string) => void lines.push(line) } });
  const file = {
    channels: { chat: { subscribe: "public", presence: true } },
    bridges: [{ pattern: "garbage:*", command: "order.event" }],
  };
  const { prefix, connect, signIn } = await startGateway({ file, log });
  const redis = new Redis(inject("redisUrl"));
  onTestFinished(() => redis.disconnect());
  const keys = createKeys(prefix);
  const client = await connect((await signIn("ada")).token);
  await client.emitWithAck("subscribe", { channel: "chat:1" });
  const logged = (message: string) => lines.filter((line) => line.includes(`"msg":"${message}"`)).length;
  const doors = {
    "ignored a malformed feed message": () => redis.spublish(keys.channelFeed("chat:1"), "garbage"),
    "ignored malformed presence members": () => redis.spublish(keys.membersFeed("chat:1"), "garbage"),
    "ignored a message from another node or an emitter": () => redis.publish("socket.io#/#", "garbage"),
    "ignored a malformed control command": () => redis.xadd(keys.controlLog(), "*", "c", "garbage"),
    "bridge message not published": () => redis.publish("garbage:x", "garbage"),
    "command dead-lettered": () => redis.xadd(keys.commands(), "*", "command", "garbage"),
  };

  for (const send of Object.values(doors)) await Promise.all(Array.from({ length: garbage }, send));
  await redis.spublish(keys.controlFeed(), "");

  await eventually(() => {
    for (const message of Object.keys(doors)) expect([message, logged(message)]).not.toEqual([message, 0]);
  });
  await eventually(async () => expect(await redis.xlen(keys.deadCommands())).toBe(garbage));
  for (const message of Object.keys(doors)) expect(logged(message)).toBeLessThan(garbage / 10);
});
