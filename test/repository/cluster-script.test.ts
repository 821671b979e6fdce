import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { needs } from "../../scripts/needs.ts";
import { repository } from "../support/source-tree.ts";
import { eventually, freshPrefix } from "../support/world.ts";

/** `npm run cluster`, as somebody types it. */
function runCluster(first: number, env: Record<string, string> = {}) {
  const npm = spawn("npm", ["run", "--silent", "cluster"], {
    cwd: repository,
    env: {
      PATH: `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`,
      HOME: process.env["HOME"],
      REDIS_URL: inject("redisUrl"),
      KEY_PREFIX: freshPrefix(),
      CLUSTER_PORT: `${first + 3}`,
      CLUSTER_NODE_PORT: `${first}`,
      DRAIN_TIMEOUT_MS: "1000",
      ...env,
    },
    detached: true,
  });
  let said = "";
  for (const stream of [npm.stdout, npm.stderr]) stream.on("data", (chunk) => (said += String(chunk)));
  // Not at its exit, at which some of what it said may not have been read yet.
  const ended = once(npm, "close");
  onTestFinished(() => kill(npm));
  return { npm, ended, ports: [first, first + 1, first + 2], said: () => said };
}

/** Below the ports that systems give out, where somebody else may still be: then others are tried. */
async function startedCluster(): Promise<ReturnType<typeof runCluster>> {
  const cluster = runCluster(20_000 + 4 * Math.floor(Math.random() * 2_000));
  const isUp = await eventually(() => {
    expect(cluster.said()).toMatch(/Ctrl-C ends all|^taken/m);
    return !cluster.said().startsWith("taken");
  }, 90_000);
  return isUp ? cluster : startedCluster();
}

const isAnswered = (port: number): Promise<boolean> =>
  fetch(`http://127.0.0.1:${port}/healthz`).then(
    () => true,
    () => false,
  );

function kill({ pid }: ChildProcess): void {
  try {
    process.kill(-(pid ?? 0), "SIGKILL");
  } catch {
    // It has ended.
  }
}

test.each(["SIGTERM", "SIGKILL"] as const)(
  "npm run cluster leaves nothing behind where npm gets a %s",
  { timeout: 120_000 },
  async (signal) => {
    const cluster = await startedCluster();
    expect(await Promise.all(cluster.ports.map(isAnswered))).toEqual([true, true, true]);

    cluster.npm.kill(signal);

    await eventually(async () => {
      expect(await Promise.all(cluster.ports.map(isAnswered))).toEqual([false, false, false]);
    }, 30_000);
  },
);

test("npm run cluster names a port in use, and starts nothing", { timeout: 60_000 }, async () => {
  const server = createServer((_, response) => response.end("somebody else's")).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;

  const cluster = runCluster(port);

  expect((await cluster.ended)[0]).toBe(1);
  expect(cluster.said()).toContain(`port ${port}`);
  expect(cluster.said()).not.toContain("Three nodes");
});

test.skipIf(!needs.nginx.isInstalled())(
  "nginx is found although the PATH of an ordinary user does not lead there",
  () => {
    vi.stubEnv("PATH", "/usr/local/bin:/usr/bin:/bin");
    onTestFinished(() => void vi.unstubAllEnvs());

    expect(needs.nginx.isInstalled()).toBe(true);
  },
);
