import { Cluster, type Redis } from "ioredis";
import type { Clock } from "../runtime/clock.ts";
import type { RedisClient } from "./connections.ts";
import { isDenied } from "./outage.ts";
import { addressOf } from "./slots.ts";

/** A property of the Redis server that would break a guarantee, or weaken one. */
export interface Finding {
  /** `refuse`: the gateway must not start on it. `failing`: it must not serve clients. `note`: it could not be checked. */
  severity: "refuse" | "failing" | "degraded" | "note";
  /** One clear line for operators. */
  text: string;
  /** The server concerned, if there are several. */
  server?: string;
}

/** What a server reports about itself. */
export interface StoreFacts {
  version: string;
  role: string;
  /** `maxmemory-policy`. */
  policy: string;
  /** Whether it keeps an append-only file. */
  isDurable: boolean;
  /** Its clock minus this machine's. */
  skewMs: number;
}

const minVersion = 7;
const degradedSkewMs = 2_000;
const maxSkewMs = 30_000;

/** Checks every server that accepts writes; on a Cluster, all masters must pass. */
export async function examineStore(
  client: RedisClient,
  clock: Clock,
  /** The provider persists the data in a way that Redis does not report. */
  isPersistedElsewhere = false,
): Promise<Finding[]> {
  if (!(client instanceof Cluster)) return examine(client, clock, isPersistedElsewhere);
  const findings = client.nodes("master").map(async (master) => {
    const server = addressOf(master);
    return (await examine(master, clock, isPersistedElsewhere)).map((finding) => ({ ...finding, server }));
  });
  return (await Promise.all(findings)).flat();
}

async function examine(server: Redis, clock: Clock, isPersistedElsewhere: boolean): Promise<Finding[]> {
  const withoutDatabase = await missingDatabaseOf(server);
  if (withoutDatabase !== undefined) return [withoutDatabase];
  const facts = await factsOf(server, clock);
  if (facts !== undefined) return findingsOf({ ...facts, isDurable: facts.isDurable || isPersistedElsewhere });
  return [{ severity: "note", text: "the Redis user may not run INFO or TIME; the Redis settings were not checked" }];
}

/** The client itself goes on in database 0, where another environment may live. */
async function missingDatabaseOf(server: Redis): Promise<Finding | undefined> {
  const { db = 0 } = server.options;
  if (db === 0) return undefined;
  try {
    await server.select(db);
    return undefined;
  } catch (error) {
    const { message } = error as Error;
    if (isDenied(error) || !message.startsWith("ERR ")) throw error;
    const text = `Redis has no database ${db} (${message}); set an existing one in REDIS_URL or REDIS_DB`;
    return { severity: "refuse", text };
  }
}

/** Undefined if the Redis user may not run these commands. */
async function factsOf(server: Redis, clock: Clock): Promise<StoreFacts | undefined> {
  try {
    const asked = clock.now();
    const [seconds, micros] = await server.time();
    const now = (asked + clock.now()) / 2;
    const fields = fieldsOf(await server.info());
    return {
      version: fields.get("redis_version") ?? "",
      role: fields.get("role") ?? "",
      policy: fields.get("maxmemory_policy") ?? "",
      isDurable: fields.get("aof_enabled") === "1",
      skewMs: Number(seconds) * 1_000 + Number(micros) / 1_000 - now,
    };
  } catch (error) {
    if (isDenied(error)) return undefined;
    throw error;
  }
}

/** `name:value` lines. */
const fieldsOf = (info: string): Map<string, string> =>
  new Map(info.split("\r\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]));

/** Pure. */
export function findingsOf({ version, role, policy, isDurable, skewMs }: StoreFacts): Finding[] {
  const findings: Finding[] = [];
  const find = (severity: Finding["severity"], text: string): void => void findings.push({ severity, text });

  if (Number.parseInt(version, 10) < minVersion)
    find("refuse", `Redis ${version} is too old: sharded pub/sub requires 7.0 or newer`);
  if (role === "slave")
    find("refuse", "this Redis is a read-only replica; set the address of the primary or of the sentinels");
  if (policy !== "noeviction")
    find("refuse", `maxmemory-policy is ${policy}: Redis could evict sessions and revocations; set noeviction`);
  if (Math.abs(skewMs) > maxSkewMs) find("failing", `${clocksText(skewMs)}; this node refuses connections until then`);
  else if (Math.abs(skewMs) > degradedSkewMs) find("degraded", clocksText(skewMs));
  if (!isDurable)
    find(
      "degraded",
      "Redis has no append-only file: a restart loses all sessions and history; set appendonly yes, or DURABILITY=external",
    );
  return findings;
}

const clocksText = (skewMs: number): string =>
  `the clocks of Redis and of this node are ${(Math.abs(skewMs) / 1_000).toFixed(1)} s apart; synchronize them with NTP`;
