import type { HostAndPort, RedisAddress } from "../redis/addresses.ts";
import { parseRedisUrl, withHost, type RedisUrl } from "../redis/redis-url.ts";
import { quoted, type EnvironmentReader, type ReadFile } from "./environment.ts";
import { readParts, urlOfParts, withParts, type UrlParts } from "./redis-parts.ts";
import { readTls } from "./redis-tls.ts";

export function readRedisAddress(
  env: EnvironmentReader,
  readFile: ReadFile,
  isProduction: boolean,
): RedisAddress | undefined {
  const parts = readParts(env);
  const urls = readUrls(env, parts);
  const address = isSentinel(env) ? readSentinels(env, urls, parts) : addressOf(urls);
  if (address === undefined && isProduction) {
    env.problem("REDIS_URL", "is required in production: the embedded store loses its data on exit");
  }
  const isTls = urls.some(isTlsUrl) || (address?.topology === "sentinel" && address.isSentinelTls === true);
  const tls = readTls(env, readFile, isTls);
  if (address === undefined) return undefined;
  const variables = variablesOf(parts);
  return { ...address, ...(variables !== undefined && { variables }), ...(tls !== undefined && { tls }) };
}

/** A login is not in the address if a part of it is given on its own. */
function variablesOf({ host, password }: UrlParts): RedisAddress["variables"] {
  if (host !== undefined) return { servers: "REDIS_HOST", login: "REDIS_PASSWORD" };
  return password === undefined ? undefined : { login: "REDIS_PASSWORD" };
}

const isSentinel = (env: EnvironmentReader): boolean =>
  env.text("REDIS_SENTINELS") !== undefined || env.text("REDIS_SENTINEL_NAME") !== undefined;

function addressOf(urls: readonly string[]): RedisAddress | undefined {
  if (urls.length > 1) return { topology: "cluster", urls: [...urls] };
  return urls[0] === undefined ? undefined : { topology: "single", url: urls[0] };
}

const isTlsUrl = (url: string): boolean => url.startsWith("rediss:");

/** The addresses of REDIS_URL, or the one that REDIS_HOST and its like make; those that cannot be used are left out. */
function readUrls(env: EnvironmentReader, parts: UrlParts): string[] {
  const given = env.list("REDIS_URL") ?? [];
  const urls = given.flatMap((url) => readUrl(env, "REDIS_URL", url) ?? []);
  checkAlike(env, urls.map(parseRedisUrl));
  if (given.length > 1 && (parts.db ?? 0) !== 0) env.problem("REDIS_DB", "must be 0: a Cluster has only database 0");
  const made = urlOfParts(env, parts, given.length > 0 || isSentinel(env));
  if (made !== undefined) return [made].flatMap((url) => readUrl(env, "REDIS_HOST", url) ?? []);
  return urls.map((url) => withParts(env, url, parts));
}

/** Does not show the value, which may contain a password. */
function readUrl(env: EnvironmentReader, name: string, url: string): string | undefined {
  try {
    parseRedisUrl(url);
    return withHost(url);
  } catch (error) {
    env.problem(name, error instanceof Error ? error.message : "cannot be read");
    return undefined;
  }
}

/** All members of a Cluster are reached the same way. */
function checkAlike(env: EnvironmentReader, urls: readonly RedisUrl[]): void {
  if (urls.length < 2) return;
  const differ = (of: (url: RedisUrl) => unknown): boolean => new Set(urls.map(of)).size > 1;
  if (differ(({ isTls }) => isTls))
    env.problem("REDIS_URL", "mixes redis:// and rediss://; use TLS for all addresses or for none");
  const logins = urls.filter(({ username, password }) => (username ?? password) !== undefined);
  if (new Set(logins.map(({ username, password }) => `${username} ${password}`)).size > 1)
    env.problem("REDIS_URL", "contains different users or passwords; all nodes of a Cluster must share them");
  if (urls.some(({ db = 0 }) => db !== 0))
    env.problem("REDIS_URL", "selects a database; a Cluster has only database 0");
  if (urls.some(({ path }) => path !== undefined))
    env.problem("REDIS_URL", "lists a Unix socket among several addresses");
}

function readSentinels(env: EnvironmentReader, urls: readonly string[], parts: UrlParts): RedisAddress {
  const name = env.text("REDIS_SENTINEL_NAME");
  const entries = env.list("REDIS_SENTINELS") ?? [];
  if (name === undefined) env.problem("REDIS_SENTINEL_NAME", "is required with REDIS_SENTINELS");
  if (entries.length === 0) env.problem("REDIS_SENTINELS", "is required with REDIS_SENTINEL_NAME: host:port,…");
  if (urls.length > 1)
    env.problem("REDIS_URL", "lists several addresses (a Cluster), which cannot be combined with REDIS_SENTINELS");
  const sentinels = entries.map((entry) => readSentinel(env, entry));
  const isSentinelTls = readSentinelTls(env, sentinels, urls[0]);
  const login = sentinels.find(({ password }) => password !== undefined);
  const username = env.text("REDIS_SENTINEL_USERNAME") ?? login?.username;
  const password = env.text("REDIS_SENTINEL_PASSWORD") ?? login?.password;
  return {
    topology: "sentinel",
    name: name ?? "",
    sentinels: sentinels.map(({ host, port }) => ({ host, port })),
    url: urls[0] ?? urlBeside(env, parts, isSentinelTls === true),
    ...(username === undefined ? {} : { sentinelUsername: username }),
    ...(password === undefined ? {} : { sentinelPassword: password }),
    ...(isSentinelTls === undefined ? {} : { isSentinelTls }),
  };
}

/** Credentials, database and TLS of the servers behind sentinels if REDIS_URL does not specify them. */
function urlBeside(env: EnvironmentReader, parts: UrlParts, isSentinelTls: boolean): string | undefined {
  const isTls = parts.isTls ?? isSentinelTls;
  const isSilent = !isTls && (parts.username ?? parts.password ?? parts.db) === undefined;
  return isSilent
    ? undefined
    : withParts(env, `${isTls ? "rediss" : "redis"}://sentinels`, { ...parts, isTls: undefined });
}

/** Sentinels without a scheme use the same TLS as the servers; undefined means that. */
function readSentinelTls(
  env: EnvironmentReader,
  sentinels: readonly { isTls: boolean | undefined }[],
  url: string | undefined,
): boolean | undefined {
  const schemes = new Set(sentinels.map(({ isTls }) => isTls).filter((isTls) => isTls !== undefined));
  if (schemes.size > 1)
    env.problem("REDIS_SENTINELS", "mixes redis:// and rediss://; use TLS for all addresses or for none");
  const [isTls] = schemes;
  if (isTls === true && url !== undefined && !isTlsUrl(url))
    env.problem("REDIS_URL", "is redis:// but REDIS_SENTINELS uses rediss://; passwords would be sent without TLS");
  return isTls;
}

type Sentinel = HostAndPort & Pick<RedisUrl, "username" | "password"> & { isTls: boolean | undefined };

/** `host:port`, or `redis://` and `rediss://` with user and password. */
function readSentinel(env: EnvironmentReader, entry: string): Sentinel {
  const isUrl = entry.includes("://");
  const [, host = "", port = ""] = /^([^/@]+):(\d{1,5})$/.exec(entry) ?? [];
  if (!isUrl && host !== "" && Number(port) >= 1 && Number(port) <= 65_535)
    return { host: host.replace(/^\[(.+)\]$/, "$1"), port: Number(port), isTls: undefined };
  const url = isUrl ? readUrl(env, "REDIS_SENTINELS", entry) : undefined;
  // Not shown, because an address may contain a password.
  if (!isUrl) env.problem("REDIS_SENTINELS", `${entry.includes("@") ? "an entry" : quoted(entry)} must be host:port`);
  const { port: urlPort, ...rest } = url === undefined ? { host, port: 0, isTls: undefined } : parseRedisUrl(url);
  return { ...rest, port: /:\d+$/.test(entry) ? urlPort : defaultSentinelPort };
}

const defaultSentinelPort = 26_379;
