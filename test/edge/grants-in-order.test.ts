import { expect, test } from "vitest";
import type { SessionRights } from "../../src/auth/live-rights.ts";
import { ConnectionRegistry } from "../../src/connections/connections.ts";
import type { Connection } from "../../src/connections/connection.ts";
import { createNodeRights, type NodeRightsDeps } from "../../src/connections/node-rights.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { deferred } from "../support/edge.ts";

const nobody = { subscribe: [], publish: [] };

/** A node's rights, a connection of a session at revision 4, and what that is subscribed to. */
function createRights(more: { recheck?: () => Promise<void>; subscribe?: () => Promise<void> } = {}) {
  const { recheck = async () => undefined, subscribe = async () => undefined } = more;
  const connections = new ConnectionRegistry();
  const subscribed = new Set<string>();
  const channels = {
    recheckPermissions: recheck,
    channelsOf: () => [...subscribed],
    subscribeUnchecked: (_subscriber: unknown, channel: string) => subscribe().then(() => subscribed.add(channel)),
    forceUnsubscribe: (_subscriber: unknown, channel: string) => void subscribed.delete(channel),
  };
  const deps = {
    connections,
    channels,
    members: { infoChanged: async () => undefined },
    ended: { add: () => undefined },
  };
  const rights = createNodeRights({ ...deps, clock: new FakeClock() } as unknown as NodeRightsDeps);
  const connection = { id: "c", subscriber: {}, join: () => undefined } as unknown as Connection;
  const identity = { userId: "ada", sessionId: "s", tokenId: "t", granted: [], channels: nobody, roles: [] };
  connection.identity = { ...identity, issuedAt: 0, expiresAt: 1, expiresBy: "session", revision: 4 };
  const register = (): void => connections.add(connection);

  const perform = (command: object): Promise<number> => rights.perform(command as { type: string }, "1-0");
  const grant = (type: "subscribe" | "unsubscribe", channel: string, revision: number): Promise<number> =>
    perform({ type: `rights.${type}`, userId: "ada", channel, revisions: { s: revision } });
  const change = (changed: Partial<SessionRights>): Promise<number> =>
    perform({
      type: "rights.session",
      rights: { sessionId: "s", roles: [], channels: nobody, granted: [], expiresAt: 1, ...changed },
    });
  return { rights, connection, register, subscribed, grant, change };
}

function startNode(...more: Parameters<typeof createRights>) {
  const node = createRights(...more);
  node.register();
  return node;
}

test("a grant that was taken back does not return with an older change of the session that arrives later", async () => {
  const { connection, grant, change } = startNode();

  await grant("unsubscribe", "room:1", 6);
  await change({ revision: 5, granted: ["room:1", "room:2"], roles: ["staff"] });

  expect(connection.identity).toMatchObject({ granted: ["room:2"], roles: ["staff"] });
});

test("a grant stays if an older change of the session arrives after it, until a newer one says otherwise", async () => {
  const { connection, grant, change } = startNode();

  await grant("subscribe", "room:1", 6);
  await change({ revision: 5, granted: [], roles: ["staff"] });
  expect(connection.identity).toMatchObject({ granted: ["room:1"], roles: ["staff"] });

  await change({ revision: 7, granted: [], roles: [] });
  expect(connection.identity).toMatchObject({ granted: [], roles: [] });
});

test("grants that arrive in another order than they were made end as they were made", async () => {
  const { connection, subscribed, grant } = startNode();

  await grant("subscribe", "room:2", 6);
  await grant("subscribe", "room:1", 5);
  await grant("unsubscribe", "room:3", 8);
  await grant("subscribe", "room:3", 7);

  expect(connection.identity.granted?.toSorted()).toEqual(["room:1", "room:2"]);
  expect([...subscribed].toSorted()).toEqual(["room:1", "room:2"]);
});

test("a client that connects is subscribed to nothing that was taken back while older changes were applied to it", async () => {
  const { promise: rechecked, resolve } = deferred();
  const { rights, connection, register, subscribed, grant, change } = createRights({ recheck: () => rechecked });
  const mark = rights.mark();
  await change({ revision: 5 });
  await grant("subscribe", "room:1", 6);
  register();

  const applied = rights.applySince(mark, connection);
  await grant("unsubscribe", "room:1", 7);
  resolve();
  await applied;

  expect([...subscribed]).toEqual([]);
  expect(connection.identity.granted).toEqual([]);
});

test("a client that connects is not refused because a subscription that it was given cannot begin", async () => {
  const refusal = new GatewayError("subscription_limit");
  const { rights, connection, grant } = startNode({ subscribe: () => Promise.reject(refusal) });
  const mark = rights.mark();
  await grant("subscribe", "room:1", 5);

  await expect(rights.applySince(mark, connection)).resolves.toBeUndefined();
});
