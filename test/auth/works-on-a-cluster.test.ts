import { expect, it, onTestFinished } from "vitest";
import { createRedisConnections } from "../../src/redis/connections.ts";
import { freePort, startRedisServer } from "../support/redis-server.ts";
import { eventually, quietLog } from "../support/world.ts";
import { authWorld, login } from "./world.ts";

/** One Redis in Cluster mode with all slots: it refuses whatever reaches across slots, as several would. */
async function clusterOfOne(): Promise<string> {
  const busPort = `${await freePort()}`;
  const server = await startRedisServer({
    args: ["--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-announce-ip", "127.0.0.1"],
  });
  onTestFinished(() => server.stop());
  const redis = createRedisConnections({
    address: { topology: "single", url: server.url },
    nodeId: "test",
    log: quietLog,
  });
  onTestFinished(() => redis.close());
  const commands = redis.connection("commands");
  await redis.ready(60_000);
  await commands.call("cluster", "addslotsrange", "0", "16383");
  await eventually(async () => expect(await commands.call("cluster", "info")).toContain("cluster_state:ok"));
  return server.url;
}

it("sessions, their index and the blacklist keep to the slots of a Redis Cluster", async () => {
  const urls = [await clusterOfOne()];
  const world = await authWorld({ redis: { topology: "cluster", urls }, sessions: { maxSessionsPerUser: 2 } });
  const first = await login(world);
  const second = await login(world);
  const third = await login(world);
  const other = await login(world, "eve");

  await world.logouts.token(second.token);

  expect((await world.sessions.list("ada")).map((session) => session.sessionId)).toEqual([
    second.session.sessionId,
    third.session.sessionId,
  ]);
  const refused = (token: string) =>
    world.authenticator.authenticate(token).catch((error: { code: string }) => error.code);
  expect(await refused(first.token)).toBe("session_expired");
  expect(await refused(second.token)).toBe("token_revoked");
  expect(await refused(third.token)).toMatchObject({ userId: "ada" });
  expect((await world.sessions.endAll("ada")).length).toBe(2);
  expect(await refused(third.token)).toBe("session_expired");
  expect(await refused(other.token)).toMatchObject({ userId: "eve" });
});
