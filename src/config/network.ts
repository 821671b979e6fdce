import { isIP } from "node:net";
import type { RedisAddress } from "../redis/connections.ts";
import { quoted, type EnvironmentReader } from "./environment.ts";

/** Browser origins that may connect: `"*"` for any. */
export type AllowedOrigins = "*" | readonly string[];

export function readAllowedOrigins(env: EnvironmentReader, isProduction: boolean): AllowedOrigins {
  const origins = env.list("ALLOWED_ORIGINS") ?? [];
  if (origins.length === 0 && isProduction) {
    env.problem("ALLOWED_ORIGINS", "is required in production: https://app.example,… (or * for any)");
  }
  if (origins.length === 0 || (origins.length === 1 && origins[0] === "*")) return "*";
  for (const origin of origins) checkOrigin(env, origin);
  return origins;
}

/** An origin is compared letter by letter with what browsers send, so it must be written the way they write it. */
function checkOrigin(env: EnvironmentReader, origin: string): void {
  const written = URL.canParse(origin) ? new URL(origin).origin : "null";
  if (written === origin && written !== "null") return;
  const hint = written === "null" ? "an origin reads https://app.example" : `browsers write it ${written}`;
  env.problem("ALLOWED_ORIGINS", `${quoted(origin)} is not an origin: ${hint}`);
}

/** Addresses and networks whose `X-Forwarded-For` counts. */
export function readTrustedProxies(env: EnvironmentReader): string[] {
  const proxies = env.list("TRUSTED_PROXIES") ?? [];
  for (const proxy of proxies) {
    if (!isNetwork(proxy)) {
      env.problem("TRUSTED_PROXIES", `${quoted(proxy)} is neither an address nor a network such as 10.0.0.0/8`);
    }
  }
  return proxies;
}

function isNetwork(value: string): boolean {
  const [address = "", bits, ...rest] = value.split("/");
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

/** Where Redis is; undefined where the gateway shall start a store of its own. */
export function readRedisAddress(env: EnvironmentReader, isProduction: boolean): RedisAddress | undefined {
  const urls = env.list("REDIS_URL") ?? [];
  for (const url of urls) checkRedisUrl(env, url);
  const sentinels = env.list("REDIS_SENTINELS");
  if (sentinels !== undefined || env.text("REDIS_SENTINEL_NAME") !== undefined) {
    return readSentinels(env, sentinels ?? [], urls);
  }
  if (urls.length === 0 && isProduction) {
    env.problem("REDIS_URL", "is required in production: the embedded store keeps nothing");
  }
  if (urls.length > 1) return { topology: "cluster", urls };
  return urls[0] === undefined ? undefined : { topology: "single", url: urls[0] };
}

/** Says nothing of the value: it may hold a password. */
function checkRedisUrl(env: EnvironmentReader, url: string): void {
  const isRedis = URL.canParse(url) && ["redis:", "rediss:"].includes(new URL(url).protocol);
  if (!isRedis || new URL(url).hostname === "") {
    env.problem("REDIS_URL", "must be redis://host:port or rediss://host:port, several (for a Cluster) with commas");
  }
}

function readSentinels(env: EnvironmentReader, entries: string[], urls: string[]): RedisAddress {
  const name = env.text("REDIS_SENTINEL_NAME");
  if (name === undefined) env.problem("REDIS_SENTINEL_NAME", "is required with REDIS_SENTINELS");
  if (entries.length === 0) env.problem("REDIS_SENTINELS", "is required with REDIS_SENTINEL_NAME: host:port,…");
  if (urls.length > 1) env.problem("REDIS_URL", "names a Cluster, which REDIS_SENTINELS excludes");
  const sentinels = entries.map((entry) => readSentinel(env, entry));
  return { topology: "sentinel", name: name ?? "", sentinels, url: urls[0] };
}

function readSentinel(env: EnvironmentReader, entry: string): { host: string; port: number } {
  const [, host = "", port = ""] = /^(.+):(\d{1,5})$/.exec(entry) ?? [];
  if (host === "" || Number(port) < 1 || Number(port) > 65_535) {
    env.problem("REDIS_SENTINELS", `${quoted(entry)} must read host:port`);
  }
  return { host: host.replace(/^\[(.+)\]$/, "$1"), port: Number(port) };
}
