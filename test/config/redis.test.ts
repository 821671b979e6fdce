import { afterAll, describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { maskSecrets } from "../../src/config/masking.ts";
import { createCertificateFiles } from "../support/certificate-files.ts";
import { namesOf, problemsOf, readFrom } from "../support/config-problems.ts";

const { pem, stop } = createCertificateFiles("DNS:localhost");
const { pem: otherPem, stop: stopOther } = createCertificateFiles("DNS:localhost");
afterAll(() => (stop(), stopOther()));

const files = {
  "ca.pem": pem.ca,
  "cert.pem": pem.cert,
  "key.pem": pem.key,
  "other.pem": otherPem.key,
  "text.pem": "no",
};
const redisOf = (env: Record<string, string>) => loadConfig(env, readFrom(files)).redis;
const sentinels = { REDIS_SENTINELS: "a:1", REDIS_SENTINEL_NAME: "main" };
const clientFiles = { REDIS_TLS_CERT_FILE: "cert.pem", REDIS_TLS_KEY_FILE: "key.pem" };

describe("the address of Redis", () => {
  test.each([
    [{ REDIS_HOST: "db" }, "redis://db:6379"],
    [
      { REDIS_HOST: "db", REDIS_PORT: "7000", REDIS_PASSWORD: "p@s/s:%", REDIS_DB: "2" },
      "redis://:p%40s%2Fs%3A%25@db:7000/2",
    ],
    [{ REDIS_HOST: "db", REDIS_USERNAME: "u", REDIS_PASSWORD: "p", REDIS_TLS: "true" }, "rediss://u:p@db:6379"],
    [{ REDIS_HOST: "::1", REDIS_PORT: "7000" }, "redis://[::1]:7000"],
    [{ REDIS_HOST: "/run/redis.sock", REDIS_DB: "1" }, "unix://localhost/run/redis.sock?db=1"],
    [{ REDIS_URL: "redis://db", REDIS_PASSWORD: "p" }, "redis://:p@db"],
    [{ REDIS_URL: "redis://:p@db/1", REDIS_PASSWORD: "p", REDIS_DB: "1" }, "redis://:p@db/1"],
    [{ REDIS_URL: "unix:///run/redis.sock" }, "unix://localhost/run/redis.sock"],
    [{ REDIS_URL: "redis+unix://u:p@/run/redis.sock?db=3" }, "redis+unix://u:p@localhost/run/redis.sock?db=3"],
    // What Kubernetes sets by itself where a service is named redis.
    [{ REDIS_URL: "redis://db", REDIS_PORT: "tcp://10.0.0.1:6379" }, "redis://db"],
  ])("%o is %s", (env, url) => {
    expect(redisOf(env)).toMatchObject({ topology: "single", url });
  });

  test("brings certificates from files", () => {
    const env = {
      REDIS_URL: "rediss://db",
      REDIS_TLS_CA_FILE: "ca.pem",
      ...clientFiles,
      REDIS_TLS_SERVER_NAME: "name",
    };

    expect(redisOf(env)).toMatchObject({ tls: { ...pem, serverName: "name" } });
  });

  test("gives sentinels a login, a scheme and the parts of an address", () => {
    const env = { ...sentinels, REDIS_PASSWORD: "p", REDIS_DB: "2", REDIS_TLS: "true", REDIS_SENTINEL_PASSWORD: "s" };

    expect(redisOf(env)).toMatchObject({ url: "rediss://:p@sentinels/2", sentinelPassword: "s" });
    expect(redisOf({ ...sentinels, REDIS_SENTINELS: "rediss://u:s@a, rediss://b:2" })).toEqual({
      topology: "sentinel",
      name: "main",
      sentinels: [
        { host: "a", port: 26_379 },
        { host: "b", port: 2 },
      ],
      url: "rediss://sentinels",
      sentinelUsername: "u",
      sentinelPassword: "s",
      isSentinelTls: true,
    });
  });

  test.each<[name: string, env: Record<string, string>]>([
    ["REDIS_URL", { REDIS_URL: "redis://a,rediss://b" }],
    ["REDIS_URL", { REDIS_URL: "redis://:p@a,redis://:q@b" }],
    ["REDIS_URL", { REDIS_URL: "redis://a/1,redis://b" }],
    ["REDIS_URL", { REDIS_URL: "redis://a/x" }],
    ["REDIS_URL", { REDIS_URL: "rediss://a?ssl_cert_reqs=none" }],
    ["REDIS_URL", { REDIS_URL: "redis:///run/redis.sock" }],
    ["REDIS_URL", { ...sentinels, REDIS_SENTINELS: "rediss://a", REDIS_URL: "redis://:p@any" }],
    ["REDIS_SENTINELS", { ...sentinels, REDIS_SENTINELS: "redis://a,rediss://b" }],
    ["REDIS_HOST", { REDIS_HOST: "a", REDIS_URL: "redis://b" }],
    ["REDIS_HOST", { REDIS_HOST: "a b" }],
    ["REDIS_PORT", { REDIS_PORT: "7000" }],
    ["REDIS_PASSWORD", { REDIS_PASSWORD: "hush" }],
    ["REDIS_PASSWORD", { REDIS_URL: "redis://:p@a", REDIS_PASSWORD: "hush" }],
    ["REDIS_DB", { REDIS_URL: "redis://a/1", REDIS_DB: "2" }],
    ["REDIS_TLS", { REDIS_URL: "redis://a", REDIS_TLS: "true" }],
    ["REDIS_TLS_CA_FILE", { REDIS_URL: "redis://a", REDIS_TLS_CA_FILE: "ca.pem" }],
    ["REDIS_TLS_CA_FILE", { REDIS_URL: "rediss://a", REDIS_TLS_CA_FILE: "missing.pem" }],
    ["REDIS_TLS_CA_FILE", { REDIS_URL: "rediss://a", REDIS_TLS_CA_FILE: "text.pem" }],
    ["REDIS_TLS_KEY_FILE", { REDIS_URL: "rediss://a", REDIS_TLS_CERT_FILE: "cert.pem" }],
    ["REDIS_TLS_KEY_FILE", { REDIS_URL: "rediss://a", ...clientFiles, REDIS_TLS_KEY_FILE: "other.pem" }],
    ["DURABILITY", { DURABILITY: "none" }],
  ])("names %s for %o", (name, env) => {
    const problems = problemsOf(env, files);

    expect(namesOf(problems)).toEqual([name]);
    expect(JSON.stringify(problems)).not.toContain("hush");
  });

  test("is printed without passwords and keys", () => {
    const env = { ...sentinels, REDIS_URL: "rediss://:hush@any", REDIS_SENTINEL_PASSWORD: "hush", ...clientFiles };
    const printed = JSON.stringify(maskSecrets(loadConfig(env, readFrom(files))));

    expect(printed).not.toMatch(/hush|PRIVATE KEY/);
    expect(printed).toContain("BEGIN CERTIFICATE");
  });
});
