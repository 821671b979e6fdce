import jsonwebtoken from "jsonwebtoken";
import { expect, test } from "vitest";
import { backend, connectClient, startGateway, type TestGateway } from "../support/gateway.ts";
import { freshPrefix } from "../support/world.ts";

/** The steps of docs/rotating-secrets.md; while one is rolled out, nodes of it and of the one before run side by side. */
const [before, after] = ["secret-before-of-at-least-thirty-two-bytes", "secret-after-of-at-least-thirty-two-bytes"];

const file = { channels: { news: { subscribe: "granted" } } };

async function nodesOf(steps: readonly Record<string, string>[]): Promise<TestGateway[]> {
  const prefix = freshPrefix();
  return Promise.all(steps.map((env) => startGateway({ prefix, env, file })));
}

/** A client that comes in with a token of the session that another node issued, and what it is refused for. */
const connects = (node: TestGateway, token: string): Promise<string> =>
  connectClient(node.url, token).then(
    () => "connected",
    (error: Error) => error.message,
  );

test("nodes of neighbouring steps of a rotation of JWT_SECRET accept each other's tokens; the last refuses the first's", async () => {
  const nodes = await nodesOf([
    { JWT_SECRET: before },
    { JWT_SECRET: before, JWT_ADDITIONAL_SECRETS: after },
    { JWT_SECRET: after, JWT_ADDITIONAL_SECRETS: before },
    { JWT_SECRET: after },
  ]);
  const tokens = await Promise.all(nodes.map(async (node) => (await node.signIn("ada")).token));

  for (const [step, node] of nodes.entries())
    for (const neighbour of tokens.slice(Math.max(step - 1, 0), step + 2))
      expect(await connects(node, neighbour)).toBe("connected");
  expect(await connects(nodes[3]!, tokens[0]!)).toBe("unauthorized");
  expect(await connects(nodes[0]!, tokens[3]!)).toBe("unauthorized");
});

test("a subscription token of the secret before lets in until that secret is withdrawn, and its refusal closes no connection", async () => {
  const [during, done] = await nodesOf([{ JWT_SECRET: after, JWT_ADDITIONAL_SECRETS: before }, { JWT_SECRET: after }]);
  const claims = { sub: "ada", channel: "news:today", exp: Math.floor(Date.now() / 1_000) + 600 };
  const request = { channel: "news:today", token: jsonwebtoken.sign(claims, before, { noTimestamp: true }) };
  const { token } = await during!.signIn("ada");
  const [first, second] = [await during!.connect(token), await done!.connect(token)];

  expect(await first.emitWithAck("subscribe", request)).toMatchObject({ ok: true });
  expect(await second.emitWithAck("subscribe", request)).toMatchObject({ ok: false, error: { code: "unauthorized" } });
  expect(second.connected).toBe(true);
});

test("keys of backends and secrets of operators work side by side until they are withdrawn", async () => {
  const [both, one] = await nodesOf([
    { API_KEYS: `shop:${before},shop:${after}`, OPERATORS: `ada:${before}:admin,ada:${after}:admin` },
    { API_KEYS: `shop:${after}`, OPERATORS: `ada:${after}:admin` },
  ]);
  const statuses = (node: TestGateway, path: string) =>
    Promise.all([before, after].map(async (key) => (await backend(node.url, key).call("GET", path)).status));

  for (const path of ["/v1/channels", "/v1/operator/settings"]) {
    expect(await statuses(both!, path)).toEqual([200, 200]);
    expect(await statuses(one!, path)).toEqual([401, 200]);
  }
});
