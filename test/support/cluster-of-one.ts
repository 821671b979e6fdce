import { execFileSync } from "node:child_process";
import { expect, onTestFinished } from "vitest";
import { freePort, startRedisServer } from "./redis-server.ts";
import { eventually } from "./world.ts";

/** One Redis in Cluster mode with all slots: it refuses whatever reaches across slots, as several would. */
export async function clusterOfOne(): Promise<string> {
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
