import type { Config } from "../config.ts";

/** What a production configuration may say, but whoever runs it should know. */
export function warningsOf(config: Config): string[] {
  if (!config.isProduction) return [];
  const warnings: string[] = [];
  if (config.allowedOrigins === "*") warnings.push("ALLOWED_ORIGINS is *: pages of any origin may connect");
  if (addressesOf(config.redis).some(isOpen))
    warnings.push("Redis is reached without a password: keep its network closed");
  return warnings;
}

function addressesOf(redis: Config["redis"]): string[] {
  if (redis === undefined) return [];
  if (redis.topology === "cluster") return redis.urls;
  return [redis.url ?? "redis://sentinel"];
}

/** Nobody else can listen in on loopback, and a password says that somebody thought of it. */
function isOpen(url: string): boolean {
  const { hostname, password } = new URL(url);
  return password === "" && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname);
}
