import { defaultRedisPort } from "../redis/redis-url.ts";
import type { EnvironmentReader } from "./environment.ts";

/** Parts of an address given in separate variables. */
export interface UrlParts {
  host: string | undefined;
  port: number | undefined;
  username: string | undefined;
  password: string | undefined;
  db: number | undefined;
  isTls: boolean | undefined;
}

export function readParts(env: EnvironmentReader): UrlParts {
  // Kubernetes sets REDIS_PORT=tcp://… in every container if a service is named redis; it is not a setting.
  const isOfKubernetes = env.text("REDIS_PORT")?.startsWith("tcp://") === true;
  const isTls = env.oneOf("REDIS_TLS", ["true", "false"]);
  return {
    host: env.text("REDIS_HOST"),
    port: isOfKubernetes ? undefined : env.integer("REDIS_PORT", { min: 1, max: 65_535 }),
    username: env.text("REDIS_USERNAME"),
    password: env.text("REDIS_PASSWORD"),
    db: env.integer("REDIS_DB", { min: 0, max: 999_999 }),
    isTls: isTls === undefined ? undefined : isTls === "true",
  };
}

/** The address made from REDIS_HOST; undefined if it is unset or addresses are given otherwise. */
export function urlOfParts(env: EnvironmentReader, parts: UrlParts, isAddressed: boolean): string | undefined {
  const { host, port, isTls = false } = parts;
  if (host !== undefined && isAddressed)
    env.problem("REDIS_HOST", "cannot be combined with REDIS_URL or REDIS_SENTINELS");
  if (host === undefined && port !== undefined) env.problem("REDIS_PORT", "requires REDIS_HOST");
  if (host === undefined && !isAddressed) reportIncompleteParts(env, parts);
  if (host === undefined || isAddressed) return undefined;
  if (host.startsWith("/")) return withParts(env, `unix://localhost${host}`, parts);
  const bracketed = host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
  const url = `${isTls ? "rediss" : "redis"}://${bracketed}:${port ?? defaultRedisPort}`;
  return URL.canParse(url) ? withParts(env, url, parts) : url;
}

/** A password without a Redis would otherwise silently start an embedded server. */
function reportIncompleteParts(env: EnvironmentReader, { username, password, db, isTls }: UrlParts): void {
  const rest = { REDIS_USERNAME: username, REDIS_PASSWORD: password, REDIS_DB: db, REDIS_TLS: isTls };
  for (const [name, value] of Object.entries(rest))
    if (value !== undefined) env.problem(name, "requires REDIS_HOST, REDIS_URL or REDIS_SENTINELS");
}

/** Adds missing parts to the address; contradicting parts are a problem. */
export function withParts(env: EnvironmentReader, text: string, parts: UrlParts): string {
  const url = new URL(text);
  const differ = (name: string): void => env.problem(name, "conflicts with REDIS_URL");
  const { isTls, username, password, db } = parts;
  if (isTls !== undefined && isTls !== (url.protocol === "rediss:")) differ("REDIS_TLS");
  for (const [name, part, value] of [
    ["REDIS_USERNAME", "username", username],
    ["REDIS_PASSWORD", "password", password],
  ] as const) {
    if (value === undefined) continue;
    if (url[part] === "") url[part] = encodeURIComponent(value);
    else if (url[part] !== encodeURIComponent(value) && decodeURIComponent(url[part]) !== value) differ(name);
  }
  if (db !== undefined) setDatabase(url, db, () => differ("REDIS_DB"));
  return username === undefined && password === undefined && db === undefined ? text : url.href;
}

function setDatabase(url: URL, db: number, differ: () => void): void {
  const isSocket = url.protocol.endsWith("unix:");
  const said = url.searchParams.get("db") ?? (isSocket ? "" : url.pathname.replace(/^\//, ""));
  if (said !== "" && Number(said) !== db) differ();
  else if (isSocket) url.searchParams.set("db", `${db}`);
  else if (said === "") url.pathname = `/${db}`;
}
