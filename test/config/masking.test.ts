import { expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { maskSecrets } from "../../src/config/masking.ts";
import { readFrom } from "../support/config-problems.ts";

test("no secret is printed, wherever it stands", () => {
  const file = {
    webhooks: [{ url: "https://user:hush-basic@backend.example/hooks", secret: "hush-hook", events: ["order.status"] }],
  };
  const config = loadConfig(
    {
      JWT_SECRET: "hush-jwt",
      API_KEYS: "backend:hush-key,other:hush-other",
      REDIS_URL: "redis://user:hush-redis@redis:6379",
      GATEWAY_CONFIG: "gateway.json",
    },
    readFrom({ "gateway.json": JSON.stringify(file) }),
  );

  const printed = JSON.stringify(maskSecrets(config));

  expect(printed).not.toContain("hush");
  expect(printed).toContain("redis://user:********@redis:6379");
  expect(printed).toContain("backend.example/hooks");
});

test.each([
  ["a Cluster", { REDIS_URL: "redis://:hush@a:1,redis://:hush@b:2" }],
  ["Sentinel", { REDIS_URL: "redis://:hush@any", REDIS_SENTINELS: "a:1", REDIS_SENTINEL_NAME: "main" }],
  ["a key set", { JWKS_URI: "https://user:hush@issuer.example/jwks.json" }],
])("passwords in the addresses of %s are masked", (_, env) => {
  const printed = JSON.stringify(maskSecrets(loadConfig(env)));

  expect(printed).not.toContain("hush");
  expect(printed).toContain("********");
});

test.each([
  ["https://hooks.example/in/hush?token=hush", "https://hooks.example/in/********?token=********"],
  ["https://hooks.example/services/hush/hush/hush", "https://hooks.example/services/********/********/********"],
  ["https://hooks.example/api/webhooks/1/hush", "https://hooks.example/api/********/********/********"],
  ["https://hooks.example/6f9619ff-hush-4c5d", "https://hooks.example/********"],
  ["https://hush@hooks.example/hooks", "https://********@hooks.example/hooks"],
  ["https://hooks.example/#hush", "https://hooks.example/#********"],
  ["https://hooks.example", "https://hooks.example/"],
])("what may be a key in a webhook's address is masked: %s", (url, shown) => {
  const file = { webhooks: [{ url, secret: "hush-hook", events: ["order.status"] }] };
  const config = loadConfig({ GATEWAY_CONFIG: "f" }, readFrom({ f: JSON.stringify(file) }));

  expect(maskSecrets(config)).toMatchObject({ webhooks: [{ url: shown, secret: "********" }] });
});

test.each([
  [{ REDIS_URL: "redis://:hush@redis:6379/0" }],
  [{ REDIS_URL: "redis://hush@redis:6379" }],
  [{ JWKS_URI: "https://issuer.example/realms/shop/certs?apikey=hush" }],
])("so is what stands in the query of %o, or alone before the host", (env) => {
  const printed = JSON.stringify(maskSecrets(loadConfig(env)));

  expect(printed).not.toContain("hush");
  expect(printed).toMatch(/redis:6379|realms\/shop\/certs/);
});

test("a secret that a later setting brings is masked by its name, wherever it stands", () => {
  const later: object = {
    app: { url: "https://app.internal/socket", secret: "hush" },
    redis: { host: "redis", password: "hush", sentinelPassword: "hush", tls: { key: "hush", passphrase: "hush" } },
    operators: [{ name: "ann", secret: "hush" }],
    outboxUrl: "postgres://user:hush@db:5432/shop",
    proxy: "http://user:hush@proxy:3128",
    passwords: ["hush"],
  };

  const printed = JSON.stringify(maskSecrets({ ...loadConfig({}), ...later }));

  expect(printed).not.toContain("hush");
  expect(printed).toContain("postgres://user:********@db:5432/shop");
});

test("nothing else is lost", () => {
  const config = loadConfig({});

  expect(maskSecrets(config)).toMatchObject({
    ...config,
    tokens: { algorithms: ["HS256"] },
    apiKeys: [{ name: "development" }],
  });
});
