import { expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { flatten, sourceOf } from "../../src/config/sources.ts";

const environment = {
  NODE_ENV: "test",
  PORT: "3100",
  HOST: "127.0.0.1",
  REDIS_HOST: "redis.internal",
  REDIS_PORT: "6380",
  REDIS_PASSWORD: "secret",
  DURABILITY: "external",
  EMBEDDED_STORE: "auto",
  OUTBOX_URL: "postgres://localhost/app",
  KEY_PREFIX: "shop",
  JWT_SECRET: "a-secret-of-more-than-thirty-two-bytes",
  JWT_ALGORITHMS: "HS256",
  JWT_ISSUER: "https://issuer.example",
  JWT_AUDIENCE: "shop",
  API_KEYS: "backend:a-key-of-more-than-thirty-two-bytes",
  ALLOWED_ORIGINS: "https://app.example",
  DEMO: "false",
  TRUSTED_PROXIES: "10.0.0.1",
  NODE_ID: "n1",
  METRICS_PORT: "9100",
  METRICS_HOST: "127.0.0.1",
  OPERATORS: "ada:a-secret-of-more-than-thirty-two-bytes:admin",
  CONSOLE_PORT: "3200",
  CONSOLE_HOST: "127.0.0.1",
  CONSOLE_PAYLOADS: "show",
  LOG_LEVEL: "warn",
  DRAIN_TIMEOUT_MS: "1000",
  WORKERS: "2",
  WORKER_FEED: "shared",
  APP_FILE: "app.ts",
  CONTRACT_FILE: "contract.ts",
  ACCELERATOR: "off",
  GATEWAY_CONFIG: "gateway.json",
};

test("every variable is the source of a setting that exists", () => {
  const { sources, ...config } = loadConfig(environment, () => "{}");
  const settings = Object.keys(flatten(config));
  const named = settings.flatMap((name) => {
    const source = sourceOf(name, sources);
    return source.source === "environment" ? source.variables : [];
  });

  const unnamed = Object.keys(environment).filter((variable) => !named.includes(variable));
  expect(unnamed).toEqual(["GATEWAY_CONFIG"]);
});

test("a setting has its source from the file only if the file sets it itself", () => {
  const file = { limits: { http: { requests: 10 } }, leaderboards: { "*": {} } };
  const { sources } = loadConfig({ GATEWAY_CONFIG: "gateway.json" }, () => JSON.stringify(file));

  expect(sources.file).toEqual(["limits.http.requests", "leaderboards.*"]);
  expect(sourceOf("limits.http.requests", sources)).toEqual({ source: "file" });
  expect(sourceOf("limits.http.windowSeconds", sources)).toEqual({ source: "default" });
  expect(sourceOf("port", sources)).toEqual({ source: "default" });
});
