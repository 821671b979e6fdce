import { expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { unknownVariables } from "../../src/config/unknown-variables.ts";
import { variables } from "../../src/config/variables.ts";
import { warningsOf } from "../../src/config/warnings.ts";
import { problemsOf } from "../support/config-problems.ts";

const told = (env: Record<string, string>) => unknownVariables(env, variables);

test.each([
  ["JWT_SECERT", "JWT_SECRET"],
  ["ALLOWED_ORIGIN", "ALLOWED_ORIGINS"],
  ["API_KEY", "API_KEYS"],
  ["REDIS_URI", "REDIS_URL"],
  ["TRUSTED_PROXY", "TRUSTED_PROXIES"],
  ["LOGLEVEL", "LOG_LEVEL"],
  ["redis_url", "REDIS_URL"],
  ["GATEWAY_CONFG", "GATEWAY_CONFIG"],
  ["TIDEGATE_JWT_SECRET", "JWT_SECRET"],
  ["GATEWAY_PORT", "PORT"],
])("%s is told by its name, with the one that was meant: %s", (name, meant) => {
  const [problem] = told({ [name]: "hush" });

  expect(problem).toEqual({ name, message: `is not a setting of the gateway; did you mean ${meant}?` });
});

test("one that begins as ours do is told, whatever it may mean", () => {
  expect(told({ TIDEGATE_COLOUR: "blue" })).toEqual([
    { name: "TIDEGATE_COLOUR", message: "is not a setting of the gateway" },
  ]);
});

test("what machines, shells, package managers and Kubernetes set is left alone", () => {
  const names = [
    "HOME",
    "HOSTNAME",
    "PATH",
    "PWD",
    "SHLVL",
    "TERM",
    "USER",
    "LANG",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NODE_IP",
  ];
  const npm = [
    "npm_config_loglevel",
    "npm_package_version",
    "npm_lifecycle_event",
    "INIT_CWD",
    "NODE_VERSION",
    "EDITOR",
  ];
  const links = ["TIDEGATE_SERVICE_HOST", "TIDEGATE_SERVICE_PORT_HTTP", "GATEWAY_PORT_3000_TCP_ADDR"];
  const env = Object.fromEntries([...names, ...npm, ...links, ...variables].map((name) => [name, "x"]));

  expect(told(env)).toEqual([]);
  expect(told({ TIDEGATE_PORT: "tcp://10.0.0.1:3000" })).toEqual([]);
  expect(told({ TIDEGATE_COLOUR: " " })).toEqual([]);
});

test("is a warning where all else is well, and stands beside the mistakes where it is not", () => {
  const env = { JWT_SECERT: "hush" };

  expect(warningsOf(loadConfig(env), env)).toEqual([
    "JWT_SECERT is not a setting of the gateway; did you mean JWT_SECRET?",
  ]);
  expect(problemsOf({ ...env, NODE_ENV: "production" })).toContainEqual({
    name: "JWT_SECERT",
    message: expect.stringContaining("JWT_SECRET"),
  });
});
