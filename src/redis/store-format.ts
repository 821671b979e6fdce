import type { Finding } from "./boot-checks.ts";
import type { RedisClient } from "./connections.ts";

/**
 * Version of what nodes keep in Redis and tell each other through it. Raised by a change with which nodes of the version
 * before could not work on the same Redis; docs/upgrading.md says what operators do then.
 */
export const storeFormat = "1";

/** Registers the format if Redis has none yet; data of another format is a reason not to start. */
export async function examineFormat(commands: RedisClient, key: string): Promise<Finding[]> {
  const found = await commands.set(key, storeFormat, "NX", "GET");
  if (found === null || found === storeFormat) return [];
  const text = `Redis has data of format ${found}, and this version of Tidegate works on format ${storeFormat}: start the version that wrote it, or set another KEY_PREFIX (docs/upgrading.md)`;
  return [{ severity: "refuse", text }];
}
