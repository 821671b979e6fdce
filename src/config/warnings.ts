import type { Config } from "../config.ts";
import { developmentApiKey, developmentSource } from "./credentials.ts";
import type { Environment } from "./environment.ts";
import { unknownVariables } from "./unknown-variables.ts";
import { variables } from "./variables.ts";

/** Valid settings that deserve a warning, and variables without effect. */
export function warningsOf(config: Config, environment: Environment = {}): string[] {
  const hasOwnSecrets = config.redis !== undefined || config.tokens.source !== developmentSource;
  const warnings = config.isProduction ? inProduction(config) : hasOwnSecrets ? [unlikeProduction(config)] : [];
  if (config.demo && (config.isProduction || hasOwnSecrets))
    warnings.push("DEMO is true: anyone can sign in under any name at /demo/login");
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
    ...(tokens.source === developmentSource ? ["tokens are signed with a well-known secret"] : []),
    ...(apiKeys.some(({ secret }) => secret === developmentApiKey.secret) ? ["the API accepts a well-known key"] : []),
    ...(allowedOrigins === "*" ? ["pages from any origin can connect"] : []),
  ];
  return `NODE_ENV is not production: ${[...open, "weak secrets are accepted"].join(", ")}`;
}

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
