import { expect, test } from "vitest";
import { createConnectionRecordStore } from "../../src/channels/connection-record-store.ts";
import { redisWorld } from "../support/world.ts";

test("what changes while a record is begun is in it, however many are begun in that moment", async () => {
  const { redis, keys } = await redisWorld();
  const commands = redis.connection("commands");
  const store = createConnectionRecordStore({ commands, keys }, { windowSeconds: 60, renewEverySeconds: 60 });
  const holder = { socketId: "socket", userId: "ada", sessionId: "session", stamp: 7 };
  const at = (offset: number) => ({ epoch: "epoch", offset });
  const ids = Array.from({ length: 20 }, (_, number) => `client-${number}`);

  await Promise.all(
    ids.flatMap((id) => [
      store.begin(id, "owner", { holder, begun: new Map([["user:ada", at(1)]]) }),
      store.keep(id, "owner", "chat:1", at(2)),
      store.keep(id, "owner", "chat:2", at(3)),
      store.drop(id, "owner", "chat:1"),
    ]),
  );

  const begun = new Map([
    ["user:ada", at(1)],
    ["chat:2", at(3)],
  ]);
  expect(await Promise.all(ids.map((id) => store.find(id)))).toEqual(ids.map(() => ({ holder, begun })));
});
