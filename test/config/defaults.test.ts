import { expect, test } from "vitest";
import { sessionDefaults } from "../../src/auth/sessions.ts";
import { tokenDefaults } from "../../src/auth/token-options.ts";
import { kindDefaults } from "../../src/channels/kinds.ts";
import { idempotencyDefaults } from "../../src/channels/publication.ts";
import { socketDefaults } from "../../src/connections/socket-options.ts";
import { boardDefaults } from "../../src/leaderboards/boards.ts";
import { orderDefaults } from "../../src/orders/order-options.ts";
import { readSources } from "../support/source-tree.ts";

const textOf = new Map(readSources().map(({ path, text }) => [path, text]));

/** What the rooms require, and nobody but the configuration has a default for. */
const onlyConfigured = {
  "config/file-schema.ts": ["windowSeconds", "timeoutMs"],
  "config/limits-schema.ts": [
    "connectionsPerUser",
    "subscriptionsPerConnection",
    "keysPerChannel",
    "bytesPerChannel",
    "keyBytes",
    "valueBytes",
    "idleSeconds",
  ],
};

test.each(Object.entries(onlyConfigured))("%s has no default of its own for what a room has one for", (path, names) => {
  const typed = [...(textOf.get(path) ?? "").matchAll(/(\w+): [^:;]*?\.default\((?:\d|true|false|"|daySeconds)/g)];

  expect(new Set(typed.map(([, name]) => name))).toEqual(new Set(names));
});

test.each([
  { path: "auth/sessions.ts", defaults: sessionDefaults },
  { path: "auth/token-options.ts", defaults: tokenDefaults },
  { path: "auth/token-blacklist.ts", defaults: tokenDefaults },
  { path: "channels/kinds.ts", defaults: kindDefaults },
  { path: "commands/idempotency.ts", defaults: idempotencyDefaults },
  { path: "commands/command-executor.ts", defaults: idempotencyDefaults },
  { path: "commands/command-ingress.ts", defaults: idempotencyDefaults },
  { path: "connections/socket-options.ts", defaults: socketDefaults },
  { path: "leaderboards/boards.ts", defaults: boardDefaults },
  { path: "orders/order-options.ts", defaults: orderDefaults },
  { path: "orders/order-store.ts", defaults: orderDefaults },
  { path: "orders/party-store.ts", defaults: orderDefaults },
  { path: "orders/signal-store.ts", defaults: orderDefaults },
])("$path documents the defaults that apply", ({ path, defaults }) => {
  const documented = [
    ...(textOf.get(path) ?? "").matchAll(
      /@default (\d+|true|false|"\w+")(?=,|\n| \*| \()[^\n]*\n(?: +\*\/\n)?\s+(?:readonly )?(\w+)\??:/g,
    ),
  ].filter(([, , name]) => name !== undefined && name in defaults);

  expect(documented).not.toEqual([]);
  for (const [, value = "", name = ""] of documented) {
    const applied = (defaults as unknown as Record<string, unknown>)[name];
    expect({ [name]: value }).toEqual({ [name]: Array.isArray(applied) ? `"${applied[0]}"` : JSON.stringify(applied) });
  }
});
