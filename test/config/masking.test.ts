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

test("nothing else is lost", () => {
  const config = loadConfig({});

  expect(maskSecrets(config)).toMatchObject({
    ...config,
    tokens: { algorithms: ["HS256"] },
    apiKeys: [{ name: "development" }],
  });
});
