import type { Config } from "../config.ts";
import { developmentApiKey, isDevelopmentSource } from "./credentials.ts";
import type { Environment } from "./environment.ts";
import { unknownVariables } from "./unknown-variables.ts";
import { variables } from "./variables.ts";

/** Valid settings that deserve a warning, and variables without effect. */
export function warningsOf(config: Config, environment: Environment = {}): string[] {
  const hasOwnSecrets = config.redis !== undefined || !isDevelopmentSource(config.tokens.source);
  const warnings = config.isProduction ? inProduction(config) : hasOwnSecrets ? [unlikeProduction(config)] : [];
  if (config.demo && (config.isProduction || hasOwnSecrets))
    warnings.push("DEMO is true: anyone can sign in under any name at /demo/login");
  if (refusedPorts.has(config.port))
    warnings.push(`PORT ${config.port}: browsers refuse to connect to it, as the port of another protocol`);
  const unknown = unknownVariables(environment, variables).map(({ name, message }) => `${name} ${message}`);
  return [...warnings, ...unknown];
}

function inProduction(config: Config): string[] {
  const warnings: string[] = [];
  if (config.allowedOrigins === "*") warnings.push("ALLOWED_ORIGINS is *: pages from any origin can connect");
  if (config.allowedOrigins === "*" && acceptsCookies(config))
    warnings.push("app.hooks has connect: pages from any origin can connect with the cookies of whoever opens them");
  if (addressesOf(config.redis).some(isOpen)) warnings.push("Redis has no password: restrict its network");
  if (Object.keys(config.channels).length === 0)
    warnings.push("no channel kinds are configured: add them under channels in the GATEWAY_CONFIG file");
  return warnings;
}

/** Setting any of these suggests a production deployment in which others may have been forgotten. */
function unlikeProduction({ tokens, apiKeys, allowedOrigins }: Config): string {
  const open = [
    ...(isDevelopmentSource(tokens.source) ? ["tokens are signed with a well-known secret"] : []),
    ...(apiKeys.some(({ secret }) => secret === developmentApiKey.secret) ? ["the API accepts a well-known key"] : []),
    ...(allowedOrigins === "*" ? ["pages from any origin can connect"] : []),
  ];
  return `NODE_ENV is not production: ${[...open, "weak secrets are accepted"].join(", ")}`;
}

/** "Bad ports" of the Fetch standard, from 1024. */
const refusedPorts: ReadonlySet<number> = new Set([
  1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
]);

const acceptsCookies = ({ app }: Config): boolean =>
  app !== undefined && app.hooks.includes("connect") && app.headers.includes("cookie");

function addressesOf(redis: Config["redis"]): string[] {
  if (redis === undefined) return [];
  if (redis.topology === "cluster") return redis.urls;
  return [redis.url ?? "redis://sentinel"];
}

/** Loopback is not exposed, and a password shows that access was considered. */
function isOpen(url: string): boolean {
  const { hostname, password } = new URL(url);
  return password === "" && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}
