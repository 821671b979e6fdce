import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Identity } from "../../src/auth/identity.ts";
import type { SessionRights } from "../../src/auth/live-rights.ts";
import type { Connection } from "../../src/connections/connection.ts";
import { createNodeRights } from "../../src/connections/node-rights.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { recordingSubscriber, startChannelsNode } from "../support/nodes.ts";
import { freshPrefix } from "../support/world.ts";

test("rights that were taken and given back in one heartbeat end no subscription", async () => {
  const { channels } = await startChannelsNode({
    prefix: freshPrefix(),
    kinds: { room: { subscribe: "granted", publish: "none" } },
  });
  const subscriber = recordingSubscriber();
  const granted = { subscribe: ["room:1"], publish: [] };
  const identity: Partial<Identity> = { userId: "ada", sessionId: "s", channels: granted, revision: 1 };
  const connection = { identity, subscriber } as unknown as Connection;
  const rights = createNodeRights({
    connections: {
      count: 1,
      all: () => [connection],
      get: () => connection,
      ofUser: () => [connection],
      ofSession: () => [connection],
      ofToken: () => [connection],
    },
    channels,
    members: { infoChanged: () => Promise.resolve() },
    ended: { add: () => undefined },
    clock: systemClock,
  });
  await channels.subscribe(subscriber, connection.identity, "room:1");
  // The acknowledgement has left, before which nothing is told.
  await setImmediate();
  const change = (revision: number, subscribe: string[]) => {
    const changed: SessionRights = {
      sessionId: "s",
      revision,
      roles: [],
      channels: { subscribe, publish: [] },
      granted: [],
      expiresAt: systemClock.now() + 60_000,
    };
    return rights.perform({ type: "rights.session", rights: changed }, `${revision}-0`);
  };

  // A node that was frozen reads both at once.
  await Promise.all([change(2, []), change(3, ["room:1"])]);
  expect(subscriber.unsubscribed).toEqual([]);
  expect(channels.channelsOf(subscriber)).toEqual(["room:1"]);

  await Promise.all([change(4, ["room:1"]), change(5, [])]);
  expect(subscriber.unsubscribed).toEqual([{ channel: "room:1", code: "forbidden" }]);
});
