import { expect, test } from "vitest";
import { createExpiryWatch } from "../../src/auth/expiry-watch.ts";
import type { Identity } from "../../src/auth/identity.ts";
import type { SessionPeek } from "../../src/auth/session-store.ts";
import { createChannelTokens } from "../../src/connections/channel-tokens.ts";
import { createConnectionHooks, type ConnectionHooksDeps } from "../../src/connections/connection-hooks.ts";
import type { Connection } from "../../src/connections/connection.ts";
import { createAuthHandlers } from "../../src/connections/handlers/auth.ts";
import type { Closing } from "../../src/protocol/closings.ts";
import { FakeClock, settled } from "../support/fake-clock.ts";
import { deferred } from "../support/edge.ts";
import { quietLog } from "../support/world.ts";

const rights = { roles: ["staff"], channels: { subscribe: [], publish: [] } };

function identityUntil(expiresAt: number, more: Partial<Identity> = {}): Identity {
  const who = { userId: "ada", sessionId: "session", tokenId: "token" };
  return { ...who, ...rights, issuedAt: expiresAt - 60_000, expiresAt, expiresBy: "session", ...more };
}

/** A connection that is closed by what the test decides, and writes its closings down. */
function connectionOf(identity: Identity) {
  const closings: Closing[] = [];
  let isOpen = true;
  const connection = {
    identity,
    subscriber: {},
    get isOpen() {
      return isOpen;
    },
    emit: () => undefined,
    close(closing: Closing) {
      closings.push(closing);
      isOpen = false;
    },
  } as unknown as Connection;
  return { connection, closings };
}

/** A connection whose session, of a sliding life, ends in a minute, as far as its node knows. */
async function slidingConnection(peek: () => Promise<SessionPeek | undefined>) {
  const clock = new FakeClock();
  const deps = {
    channels: { channelsOf: () => [] },
    expiry: createExpiryWatch({ clock, log: quietLog }),
    revocations: { since: () => undefined },
    rights: { onChanged: () => undefined, applySince: () => undefined },
    sessions: { peek },
    recovery: { persist: () => undefined },
    fence: { isOpen: true },
    clock,
    isDraining: () => false,
  } as unknown as ConnectionHooksDeps;
  const first = identityUntil(clock.now() + 60_000, { slidingMs: 60_000, tokenExpiresAt: clock.now() + 3_600_000 });
  const { connection, closings } = connectionOf(first);
  const arrival = { privateId: undefined, restored: undefined, namesItsChannels: true };
  await createConnectionHooks(deps).connected(connection, arrival);
  return { clock, connection, closings };
}

const sessionUntil = (expiresAt: number): SessionPeek => ({
  userId: "ada",
  lastSeenAt: undefined,
  expiresAt,
  ...rights,
});

test("rights that were taken away while the end of the session was looked up stay away", async () => {
  const { promise: answer, resolve } = deferred<SessionPeek | undefined>();
  const { clock, connection, closings } = await slidingConnection(() => answer);
  await clock.advance(60_000);

  connection.identity = { ...connection.identity, roles: [], revision: 1 };
  resolve(sessionUntil(clock.now() + 60_000));
  await settled();

  expect(connection.identity).toMatchObject({ roles: [], revision: 1, expiresAt: clock.now() + 60_000 });
  expect(closings).toEqual([]);
});

test("a session whose end Redis cannot tell has not ended", async () => {
  const answers = [() => Promise.reject(new Error("Connection is closed.")), () => Promise.resolve(undefined)];
  const { clock, connection, closings } = await slidingConnection(() => answers[0]!());
  await clock.advance(60_000);
  await clock.advance(3_000);
  expect({ closings, isOpen: connection.isOpen }).toEqual({ closings: [], isOpen: true });

  answers.shift();
  await clock.advance(1_000);

  expect(closings).toMatchObject([{ code: "session_expired", reconnect: false }]);
});

test("a session that was extended while its end was looked up goes on", async () => {
  const { promise: answer, resolve } = deferred<SessionPeek | undefined>();
  const { clock, connection, closings } = await slidingConnection(() => answer);
  await clock.advance(60_000);
  const extended = clock.now() + 60_000;

  connection.identity = { ...connection.identity, expiresAt: extended };
  resolve(sessionUntil(extended));
  await settled();

  expect(closings).toEqual([]);
});

test("a fresh token leaves the channels that subscription tokens opened and closed while it was checked", async () => {
  const now = Date.now();
  const token = (channel: string) => [channel, { expiresAt: now + 60_000, mayPublish: false }] as const;
  const { connection } = connectionOf(identityUntil(now, { channelTokens: new Map([token("news:1")]) }));
  const { promise: fresh, resolve } = deferred<Identity>();
  const [handler] = createAuthHandlers({ refresh: () => fresh, tokenRefreshed: () => undefined });
  const answered = handler!.handle(connection, { token: "fresh" });

  connection.identity = { ...connection.identity, channelTokens: new Map([token("news:2")]) };
  resolve(identityUntil(now + 60_000));
  await answered;

  expect(connection.identity.expiresAt).toBe(now + 60_000);
  expect([...(connection.identity.channelTokens?.keys() ?? [])]).toEqual(["news:2"]);
});

test("rights are judged by a fresh token even if what changed while it was checked cannot be applied", async () => {
  const judged: Connection[] = [];
  const deps = {
    channels: {},
    revocations: { since: () => undefined },
    rights: {
      onChanged: () => undefined,
      applySince: () => Promise.reject(new Error("Connection is closed.")),
      recheck: async (connection: Connection) => void judged.push(connection),
    },
  } as unknown as ConnectionHooksDeps;
  const { connection } = connectionOf(identityUntil(Date.now()));

  createConnectionHooks(deps).tokenRefreshed(connection);

  await expect.poll(() => judged).toEqual([connection]);
});

test("a subscription token lets its user in until it expires, also where that is longer than a timer can wait", async () => {
  const clock = new FakeClock();
  const longestMs = 2_147_483_647;
  const expiresAt = clock.now() + 2 * longestMs;
  const { connection } = connectionOf(identityUntil(expiresAt));
  const tokens = createChannelTokens({
    tokens: { verifySubscription: async () => ({ userId: "ada", channel: "news:1", expiresAt, mayPublish: false }) },
    clock: {
      now: clock.now,
      monotonic: clock.monotonic,
      every: clock.every,
      after: (delayMs, run) => clock.after(Math.min(delayMs, longestMs), run),
    },
    identityReplaced: () => undefined,
    recheck: async () => undefined,
  });
  await tokens.use(connection, "news:1", "token");

  await clock.advance(longestMs);
  expect(connection.identity.channelTokens?.has("news:1")).toBe(true);

  await clock.advance(longestMs);
  expect(connection.identity.channelTokens?.has("news:1")).toBe(false);
});
