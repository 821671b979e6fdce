import { expect, test } from "vitest";
import { ownAddress } from "../../src/cli/backend-calls.ts";
import { banner } from "../../src/cli/banner.ts";
import { loadConfig } from "../../src/config.ts";
import { urlOf } from "../../src/gateway/url.ts";

test.each([
  ["0.0.0.0", "http://localhost:3000"],
  ["::", "http://localhost:3000"],
  ["::1", "http://[::1]:3000"],
  ["fe80::1%eth0", "http://[fe80::1]:3000"],
  ["10.0.0.7", "http://10.0.0.7:3000"],
  ["gateway.example", "http://gateway.example:3000"],
])("a node that listens at %s is told to be opened at %s", (host, address) => {
  expect(urlOf(host, 3_000)).toBe(address);
  expect(new URL(address).origin).toBe(address);
});

test.each([
  [{}, "http://127.0.0.1:3000"],
  [{ HOST: "::", PORT: "4000" }, "http://127.0.0.1:4000"],
  [{ HOST: "[::1]" }, "http://[::1]:3000"],
  [{ HOST: "10.0.0.7" }, "http://10.0.0.7:3000"],
])("commands find the gateway of the settings %o at %s", (env, address) => {
  expect(ownAddress(env)).toBe(address);
});

test.each([
  ["chat", "chat:lobby"],
  ["board", "user:ada"],
])("with the kind %s configured, the printed command publishes to %s", (kind, channel) => {
  const config = loadConfig({ GATEWAY_CONFIG: "gateway.json" }, () => JSON.stringify({ channels: { [kind]: {} } }));

  const printed = banner(config, { url: "http://localhost:3000", store: "a store" }, false);

  expect(printed).toContain(`"channel":"${channel}"`);
});
