import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { findStore } from "../../src/gateway/locate-store.ts";
import { urlOf } from "../../src/gateway/url.ts";
import { createRedisConnections, type RedisAddress } from "../../src/redis/connections.ts";
import { discoverStore } from "../../src/redis/discover.ts";
import { createCertificateFiles } from "../support/certificate-files.ts";
import { ownProcess } from "../support/child.ts";
import { spawnNodeProcess } from "../support/node-process.ts";
import { owned } from "../support/owned.ts";
import { askRedis, startRedisProcess } from "../support/redis-process.ts";
import { freePort } from "../support/redis-server.ts";
import { startStore } from "../support/store-lab.ts";
import { eventually, quietLog } from "../support/world.ts";

const single = (url: string): RedisAddress => ({ topology: "single", url });
const refusal = (part: string, text: RegExp) =>
  expect.objectContaining({ name: "AddressRefused", part, message: expect.stringMatching(text) });

async function pings(address: RedisAddress): Promise<string> {
  const redis = createRedisConnections({ address, nodeId: "test", log: quietLog });
  onTestFinished(() => redis.close());
  await redis.ready(60_000);
  return redis.connection("commands").ping();
}

describe("an address", () => {
  test("that is one of a Cluster is the Cluster's, and several that are none are refused", async () => {
    const cluster = owned(await startStore("cluster"));
    const server = owned(await startRedisProcess());
    const [first = ""] = cluster.address.topology === "cluster" ? cluster.address.urls : [];

    const found = await discoverStore(single(first), 60_000);

    expect(found).toEqual({ topology: "cluster", urls: [first] });
    expect(await pings(found)).toBe("PONG");
    expect(await discoverStore(single(server.url), 60_000)).toEqual(single(server.url));
    const several: RedisAddress = { topology: "cluster", urls: [server.url, server.url] };
    await expect(discoverStore(several, 60_000)).rejects.toEqual(refusal("servers", /several addresses/));
    await expect(discoverStore(single(`${first}/1`), 60_000)).rejects.toEqual(refusal("servers", /only database 0/));
  });

  test("is refused at once for a wrong password or none, by name and with exit code 78", async () => {
    const { port, ask } = owned(await startRedisProcess());
    await ask("CONFIG", "SET", "requirepass", "right");
    const node = owned(
      await spawnNodeProcess({ nodeId: "node-1", env: { REDIS_URL: `redis://:hush@127.0.0.1:${port}` } }),
    );

    await expect(discoverStore(single(`redis://127.0.0.1:${port}`), 60_000)).rejects.toEqual(
      refusal("login", /NOAUTH/),
    );
    expect((await node.ended).code).toBe(78);
    expect(node.log()).toMatch(/^ {2}REDIS_URL: 127\.0\.0\.1:\d+ rejected the user or password/m);
    expect(node.log()).not.toContain("hush");
    const parts = { REDIS_HOST: "127.0.0.1", REDIS_PORT: `${port}`, REDIS_PASSWORD: "hush" };
    const { redis } = loadConfig(parts);
    await expect(findStore(redis as RedisAddress)).rejects.toThrow(/^ {2}REDIS_PASSWORD: .*WRONGPASS/m);
  });

  test("where nothing answers yet is tried again, which the log says once", async () => {
    const server = owned(await startRedisProcess());
    await server.kill();
    const lines: unknown[] = [];
    const told = Promise.withResolvers<void>();
    const warn = (...line: unknown[]): void => (lines.push(line), told.resolve());

    const found = findStore(single(server.url), { ...quietLog, warn });
    await told.promise;
    await server.restart();

    expect(await found).toEqual(single(server.url));
    const address = `127.0.0.1:${server.port}`;
    const fields = { address, reason: expect.stringContaining("ECONNREFUSED"), seconds: 10 };
    expect(lines).toEqual([[fields, "Redis does not answer yet; trying again"]]);
  });

  test("of a Unix socket is reached", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tidegate-socket-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    owned(await startRedisProcess({ args: ["--unixsocket", join(folder, "redis.sock")] }));

    expect(await pings(single(`unix://localhost${folder}/redis.sock?db=1`))).toBe("PONG");
  });

  test("of an IPv6 host reaches it, and is one that browsers open", async () => {
    const { port } = owned(await startRedisProcess({ args: ["--bind", "127.0.0.1", "::1"] }));

    expect(await pings(single(`redis://[::1]:${port}`))).toBe("PONG");
    expect(urlOf("::1", 3_000)).toBe("http://[::1]:3000");
  });

  test("with TLS is refused where the certificate bears another name, or where there is no TLS", async () => {
    const tls = createCertificateFiles("DNS:elsewhere.example");
    onTestFinished(tls.stop);
    const server = owned(await startRedisProcess({ tls }));
    const address: RedisAddress = { topology: "single", url: `rediss://localhost:${server.tlsPort}`, tls: tls.pem };

    await expect(discoverStore(address, 60_000)).rejects.toEqual(refusal("servers", /altnames/));
    await expect(discoverStore(single(`rediss://127.0.0.1:${server.port}`), 100)).rejects.toThrow(
      /does not support TLS/,
    );
    await expect(discoverStore(single(`redis://127.0.0.1:${server.tlsPort}`), 100)).rejects.toThrow(/rediss:/);
    expect(await pings({ ...address, tls: { ...tls.pem, serverName: "elsewhere.example" } })).toBe("PONG");
  });
});

describe("sentinels", () => {
  test("are authenticated with their own password, and named if they refuse it or do not know the primary", async () => {
    const server = owned(await startRedisProcess());
    const address = await sentinelWithPassword(server.port);

    expect(await discoverStore(address, 60_000)).toBe(address);
    expect(await pings(address)).toBe("PONG");
    await expect(discoverStore({ ...address, sentinelPassword: "wrong" }, 60_000)).rejects.toEqual(
      refusal("sentinels", /WRONGPASS/),
    );
    await expect(discoverStore({ ...address, name: "other" }, 60_000)).rejects.toEqual(
      refusal("sentinel name", /"other"/),
    );
  });
});

async function sentinelWithPassword(primaryPort: number) {
  const [port, folder] = [await freePort(), mkdtempSync(join(tmpdir(), "tidegate-sentinel-"))];
  const file = join(folder, "sentinel.conf");
  const settings = [`port ${port}`, `dir ${folder}`, "requirepass right"];
  writeFileSync(file, [...settings, `sentinel monitor main 127.0.0.1 ${primaryPort} 1`].join("\n"));
  const own = owned(ownProcess(spawn("redis-server", [file, "--sentinel"], { stdio: "ignore" })));
  void own.ended.then(() => rmSync(folder, { recursive: true, force: true }));
  await eventually(() => askRedis(port, ["PING"]).catch((error: Error) => expect(error.message).toMatch(/NOAUTH/)));
  const sentinels = [{ host: "127.0.0.1", port }];
  return { topology: "sentinel", name: "main", sentinels, sentinelPassword: "right" } satisfies RedisAddress;
}
