import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { developmentApiKey, developmentSecret } from "../../src/config/credentials.ts";
import { warningsOf } from "../../src/config/warnings.ts";
import { namesOf, problemsOf } from "../support/config-problems.ts";

const good = {
  NODE_ENV: "production",
  REDIS_URL: "redis://redis:6379",
  JWT_SECRET: "j".repeat(32),
  API_KEYS: `backend:${"k".repeat(32)}`,
  ALLOWED_ORIGINS: "https://app.example",
};

describe("in production", () => {
  test("a complete configuration starts, without the development's channels and boards", () => {
    const config = loadConfig(good);

    expect(config.isProduction).toBe(true);
    expect(Object.keys(config.channels)).toEqual([]);
    expect(config.leaderboards).toEqual({});
  });

  test("keys, secrets, origins and a store of one's own are all asked for at once", () => {
    const problems = problemsOf({ NODE_ENV: "production" });

    expect(namesOf(problems).toSorted()).toEqual(["ALLOWED_ORIGINS", "API_KEYS", "JWT_SECRET", "REDIS_URL"]);
  });

  test.each(["REDIS_URL", "JWT_SECRET", "API_KEYS", "ALLOWED_ORIGINS"] as const)("%s is required", (name) => {
    expect(namesOf(problemsOf({ ...good, [name]: undefined }))).toEqual([name]);
  });

  test.each([
    ["a secret of 31 bytes", { JWT_SECRET: "j".repeat(31) }],
    ["the development secret", { JWT_SECRET: developmentSecret }],
    ["the development API key", { API_KEYS: `a:${developmentApiKey.secret}` }],
    ["one weak API key among others", { API_KEYS: `${good.API_KEYS},weak:short` }],
  ])("%s counts as missing", (_, env) => {
    expect(namesOf(problemsOf({ ...good, ...env }))).toEqual(Object.keys(env));
  });

  test("a secret's length is counted in bytes", () => {
    expect(problemsOf({ ...good, JWT_SECRET: "é".repeat(16) })).toEqual([]);
  });

  test("keys from a key set stand in for the secret, but not over plain http", () => {
    const { JWT_SECRET: _, ...others } = good;

    expect(problemsOf({ ...others, JWKS_URI: "https://issuer.example/jwks.json" })).toEqual([]);
    expect(namesOf(problemsOf({ ...others, JWKS_URI: "http://issuer.example/jwks.json" }))).toEqual(["JWKS_URI"]);
  });

  test("sentinels stand in for an address", () => {
    const { REDIS_URL: _, ...others } = good;

    expect(problemsOf({ ...others, REDIS_SENTINELS: "a:26379", REDIS_SENTINEL_NAME: "main" })).toEqual([]);
  });

  test("what is allowed but unwise is told", () => {
    const file = () => JSON.stringify({ channels: { chat: { subscribe: "public" } } });
    const warn = (env: Record<string, string>) =>
      warningsOf(loadConfig({ ...good, GATEWAY_CONFIG: "gateway.json", ...env }, file)).length;

    expect(warn({ ALLOWED_ORIGINS: "*" })).toBe(2);
    expect(warn({})).toBe(1);
    expect(warn({ REDIS_URL: "redis://:secret@redis:6379" })).toBe(0);
    expect(warn({ REDIS_URL: "redis://127.0.0.1:6379" })).toBe(0);
    expect(warn({ REDIS_URL: "redis://127.0.0.1:6379", DEMO: "true" })).toBe(1);
    expect(warningsOf(loadConfig({}))).toEqual([]);
  });

  test("a port that browsers refuse is told", () => {
    expect(warningsOf(loadConfig({ PORT: "6000" }))).toEqual([expect.stringMatching(/^PORT 6000: browsers refuse/)]);
    expect(warningsOf(loadConfig({ PORT: "6001" }))).toEqual([]);
  });

  test("that pages of any origin can use the cookies of an app is told", () => {
    const app = { url: "https://app.example", secret: "a-secret", hooks: ["connect"] };
    const warn = (more: object) =>
      warningsOf(
        loadConfig({ ...good, ALLOWED_ORIGINS: "*", GATEWAY_CONFIG: "gateway.json" }, () =>
          JSON.stringify({ app: { ...app, ...more } }),
        ),
      ).filter((warning) => warning.includes("cookies")).length;

    expect(warn({})).toBe(1);
    expect(warn({ headers: ["x-login"] })).toBe(0);
    expect(warn({ hooks: ["subscribe"] })).toBe(0);
  });

  test("that no channel kind is configured is told", () => {
    expect(warningsOf(loadConfig({ ...good, REDIS_URL: "redis://127.0.0.1:6379" }))).toEqual([
      expect.stringMatching(/^no channel kinds are configured.*GATEWAY_CONFIG/),
    ]);
  });
});

describe("where NODE_ENV was forgotten", () => {
  const { NODE_ENV: _, ...forgotten } = good;

  test("what is left open is told, and nobody signs in through the demo", () => {
    const config = loadConfig(forgotten);

    expect(config.demo).toBe(false);
    expect(warningsOf(config)).toEqual(["NODE_ENV is not production: weak secrets are accepted"]);
    expect(warningsOf(loadConfig({ JWT_SECRET: good.JWT_SECRET }))).toEqual([
      "NODE_ENV is not production: the API accepts a well-known key, pages from any origin can connect, weak secrets are accepted",
    ]);
  });

  test.each([
    ["nothing is set", {}, true],
    ["the known secret is set", { JWT_SECRET: developmentSecret }, true],
    ["a secret is set", { JWT_SECRET: good.JWT_SECRET }, false],
    ["a store is set", { REDIS_URL: good.REDIS_URL }, false],
    ["it is asked for", { ...forgotten, DEMO: "true" }, true],
    ["it is switched off", { DEMO: "false" }, false],
  ])("where %s, there is a demo: %o → %s", (_what, env, hasDemo) => {
    expect(loadConfig(env).demo).toBe(hasDemo);
  });

  test("a demo needs a secret to sign with", () => {
    const { JWT_SECRET: _secret, ...others } = forgotten;

    expect(namesOf(problemsOf({ ...others, JWKS_URI: "https://issuer.example/jwks.json", DEMO: "true" }))).toEqual([
      "DEMO",
    ]);
  });
});
