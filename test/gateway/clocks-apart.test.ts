import { expect, test } from "vitest";
import { systemClock, type Clock } from "../../src/runtime/clock.ts";
import { readableLog } from "../support/edge.ts";
import { connectClient, startGateway, type TestGateway } from "../support/gateway.ts";
import { eventually, freshPrefix } from "../support/world.ts";

/** A machine's clock that is wrong, for as long as a test says so. */
function clockOff(ms: number): Clock & { off: number } {
  return {
    ...systemClock,
    off: ms,
    now() {
      return Date.now() + this.off;
    },
  };
}

test.each([
  [29_000, -29_000],
  [-20_000, 10_000],
])("nodes whose clocks are off by %i and %i ms take each other's tokens, and tell one time", async (one, other) => {
  const prefix = freshPrefix();
  const nodes = await Promise.all([one, other].map((ms) => startGateway({ prefix, clock: clockOff(ms) })));
  const [first, second] = nodes as [TestGateway, TestGateway];

  for (const [issuer, taker] of [
    [first, second],
    [second, first],
  ] as const) {
    const { token, expiresAt } = await issuer.signIn("ann", { ttlSeconds: 900 });
    const client = await taker.connect(token);

    expect(Math.abs(Number(client.ready["serverTime"]) - Date.now())).toBeLessThan(9_000);
    expect(Math.abs(expiresAt - Date.now() - 900_000)).toBeLessThan(9_000);
  }
});

test("a token ends on every node when it says so, by the store's clock", async () => {
  const prefix = freshPrefix();
  const [early, late] = await Promise.all(
    [25_000, -25_000].map((ms) =>
      startGateway({ prefix, clock: clockOff(ms), file: { tokens: { tokenTtlSeconds: 5 } } }),
    ),
  );
  const { token, expiresAt } = await early!.signIn("ann");
  const ended: Promise<number>[] = [];
  for (const node of [early!, late!]) {
    const client = await node.connect(token);
    ended.push(new Promise((resolve) => client.once("closing", () => resolve(Date.now()))));
  }

  for (const at of await Promise.all(ended)) expect(at).toBeGreaterThanOrEqual(expiresAt - 1_000);
});

test("a node whose clock is further off says so and serves nobody until it is set", async () => {
  const { log, lines } = readableLog();
  const clock = clockOff(60_000);
  const node = await startGateway({ clock, log });
  const readiness = async () =>
    (await fetch(`${node.url}/readyz`)).json() as Promise<{ status: string; checks: object }>;
  const { token } = await node.signIn("ann");

  expect(await readiness()).toMatchObject({
    status: "unavailable",
    checks: { store: { status: "failing", note: expect.stringMatching(/60\.\d s apart.*refuses connections/) } },
  });
  expect(lines).toContainEqual(
    expect.objectContaining({ level: "error", msg: expect.stringMatching(/60\.\d s apart/) }),
  );
  await expect(connectClient(node.url, token)).rejects.toThrow();

  clock.off = 0;
  await eventually(async () => expect((await readiness()).status).not.toBe("unavailable"));
  await connectClient(node.url, token);
  expect(lines).toContainEqual(
    expect.objectContaining({ level: "info", msg: expect.stringContaining("accepting connections again") }),
  );
});
