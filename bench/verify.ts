/**
 * What it costs to find out who a newcomer is: CPU (user + system) of this process per token, for the libraries alone,
 * for the verifier with each kind of key, and for the whole authenticator with its round trip to a real Redis.
 * Every row gets a slice of each round, in turn, and the median of the rounds counts: `node bench/verify.ts [rounds]`.
 */
import { generateKeyPairSync, createSecretKey, type KeyObject } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import jsonwebtoken from "jsonwebtoken";
import { createAuthenticator } from "../src/auth/authenticator.ts";
import { createSessionStore } from "../src/auth/session-store.ts";
import { createSessions } from "../src/auth/sessions.ts";
import { createTokenBlacklist } from "../src/auth/token-blacklist.ts";
import type { TokenKeySource } from "../src/auth/token-options.ts";
import { createTokens } from "../src/auth/tokens.ts";
import { createRedisConnections } from "../src/redis/connections.ts";
import { createKeys } from "../src/redis/keys.ts";
import { systemClock } from "../src/runtime/clock.ts";
import { createLogger } from "../src/runtime/logger.ts";
import { claims, forge } from "../test/auth/forge.ts";
import { startRedisServer } from "../test/support/redis-server.ts";

/** `count` is how many tokens one call stands for. @default 1 */
type Work = (() => unknown) & { count?: number };
type Row = [name: string, work: Work, repeats: number];

const secret = "a secret of the bench, long enough for HS256";
const clock = systemClock;
const rounds = Number(process.argv[2] ?? 15);
/** Calls of verifiers that have not seen their token yet, in each round. */
const firstTimes = 50;

const server = await startRedisServer();
const redis = createRedisConnections({
  address: { topology: "single", url: server.url },
  nodeId: "bench",
  log: createLogger({ level: "silent" }),
});
const keySet = createServer((_, response) => response.end(JSON.stringify({ keys: [publicJwk] })));
const rsa = generateKeyPairSync("rsa", { modulusLength: 2_048 });
const publicJwk = { ...rsa.publicKey.export({ format: "jwk" }), kid: "1" };

try {
  await new Promise<void>((resolve) => keySet.listen(0, "127.0.0.1", resolve));
  const rows = [...libraryRows(), ...verifierRows(), ...(await authenticatorRows())];
  printTable(await measure(rows));
} finally {
  keySet.close();
  keySet.closeAllConnections();
  await redis.close();
  await server.stop();
}

function libraryRows(): Row[] {
  const token = forge({ payload: claims(clock.now()), key: secret });
  const key = createSecretKey(secret, "utf8");
  const options = { algorithms: ["HS256" as const] };
  return [
    ["jsonwebtoken, secret as text", () => jsonwebtoken.verify(token, secret, options), 200],
    ["jsonwebtoken, key object", () => jsonwebtoken.verify(token, key, options), 2_000],
  ];
}

function verifierRows(): Row[] {
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const ed = generateKeyPairSync("ed25519");
  const jwks = { type: "jwks", uri: `http://127.0.0.1:${(keySet.address() as AddressInfo).port}` } as const;
  const verifier = (source: TokenKeySource, token: string): Work => {
    const tokens = createTokens({ source }, { clock });
    return () => tokens.verify(token);
  };
  /** Each call is the first of its verifier. */
  const firstTime = (source: TokenKeySource, token: string): Work => {
    const all = Array.from({ length: (rounds + 2) * firstTimes }, () => createTokens({ source }, { clock }));
    return () => all.pop()?.verify(token);
  };
  const signed = (alg: "RS256" | "ES256" | "EdDSA", key: KeyObject): string =>
    forge({ header: { alg, kid: "1" }, payload: claims(clock.now()), key, signedWith: alg });
  const good = forge({ payload: claims(clock.now()), key: secret });
  const newcomer = forge({ payload: claims(clock.now()), key: "another" });
  const withSecret = createTokens({ source: { type: "secret", secret } }, { clock });
  const refused =
    (token: string): Work =>
    () =>
      withSecret.verify(token).catch(() => undefined);
  return [
    ["verify HS256", verifier({ type: "secret", secret }, good), 2_000],
    ["verify RS256", firstTime(fromPem(rsa.publicKey), signed("RS256", rsa.privateKey)), firstTimes],
    ["verify ES256", firstTime(fromPem(ec.publicKey), signed("ES256", ec.privateKey)), firstTimes],
    ["verify EdDSA", firstTime(fromPem(ed.publicKey), signed("EdDSA", ed.privateKey)), firstTimes],
    ["verify RS256 again", verifier(fromPem(rsa.publicKey), signed("RS256", rsa.privateKey)), 500],
    ["verify RS256 by JWKS again", verifier(jwks, signed("RS256", rsa.privateKey)), 200],
    ["refuse a wrong signature", refused(newcomer), 1_000],
    ["refuse 8 MB", refused("a".repeat(8_000_000)), 1_000],
  ];
}

function fromPem(key: KeyObject): TokenKeySource {
  return { type: "public-key", pem: key.export({ type: "spki", format: "pem" }).toString() };
}

async function authenticatorRows(): Promise<Row[]> {
  const commands = redis.connection("commands");
  await redis.ready(5_000);
  const keys = createKeys("bench");
  const tokens = createTokens({ source: { type: "secret", secret } }, { clock });
  const sessions = createSessions({ store: createSessionStore({ commands, keys }), clock });
  const blacklist = createTokenBlacklist({ commands, keys, clock });
  const authenticator = createAuthenticator({ tokens, sessions, blacklist });
  const { session } = await sessions.create({ userId: "ada", roles: ["support"] });
  const issued = tokens.issue({ ...session, sessionExpiresAt: session.expiresAt });
  const authenticate = (): Promise<unknown> => authenticator.authenticate(issued?.token);
  return [
    ["authenticate, one by one", authenticate, 200],
    ["authenticate, 50 at once (each)", many(50, authenticate), 20],
    ["bare round trip to Redis", () => commands.ping(), 200],
  ];
}

function many(count: number, work: Work): Work {
  return Object.assign(() => Promise.all(Array.from({ length: count }, work)), { count });
}

interface Cost {
  name: string;
  microseconds: number;
}

async function measure(rows: readonly Row[]): Promise<Cost[]> {
  const samples = new Map(rows.map(([name]) => [name, [] as number[]]));
  for (let round = -2; round < rounds; round += 1) {
    for (const [name, work, repeats] of rows) {
      const cost = await slice(work, repeats);
      if (round >= 0) samples.get(name)?.push(cost); // The first two rounds warm up.
    }
  }
  return [...samples].map(([name, costs]) => ({ name, microseconds: median(costs) }));
}

async function slice(work: Work, repeats: number): Promise<number> {
  const before = process.cpuUsage();
  for (let i = 0; i < repeats; i += 1) await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / repeats / (work.count ?? 1);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function printTable(costs: readonly Cost[]): void {
  const one = costs.find(({ name }) => name === "jsonwebtoken, key object")?.microseconds ?? Number.NaN;
  console.log(`CPU per token, median of ${rounds} rounds, Node ${process.version}\n`);
  console.log("| | µs | ÷ key object |\n| --- | ---: | ---: |");
  for (const { name, microseconds } of costs) {
    console.log(`| ${name} | ${microseconds.toFixed(1)} | ${(microseconds / one).toFixed(2)} |`);
  }
}
