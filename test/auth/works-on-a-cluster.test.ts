import { execFileSync } from "node:child_process";
import { expect, it, onTestFinished } from "vitest";
import { freePort, startRedisServer } from "../support/redis-server.ts";
import { eventually } from "../support/world.ts";
import { authWorld, login } from "./world.ts";

/** One Redis in Cluster mode with all slots: it refuses whatever reaches across slots, as several would. */
async function clusterOfOne(): Promise<string> {
  const busPort = `${await freePort()}`;
  const server = await startRedisServer({
    args: ["--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-announce-ip", "127.0.0.1"],
  });
  onTestFinished(() => server.stop());
  const ask = (...args: string[]): string =>
    execFileSync("redis-cli", ["-p", `${server.port}`, "cluster", ...args], { encoding: "utf8" });
  ask("addslotsrange", "0", "16383");
  await eventually(() => expect(ask("info")).toContain("cluster_state:ok"));
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
  expect(await world.blacklist.revokedAmong([second.tokenId, third.tokenId])).toEqual(new Set([second.tokenId]));
  expect((await world.sessions.endAll("ada")).length).toBe(2);
  expect(await refused(third.token)).toBe("session_expired");
  expect(await refused(other.token)).toMatchObject({ userId: "eve" });
});
