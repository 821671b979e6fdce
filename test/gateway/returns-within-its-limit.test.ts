import { expect, test } from "vitest";
import { connectClient, openClient, startGateway, told, type Client } from "../support/gateway.ts";
import { eventually, freshPrefix } from "../support/world.ts";

const file = { limits: { connectionsPerUser: 1 } };

/** What a stock client comes back with; it keeps both to itself. */
function pastOf(client: Client): { pid: string; offset: string } {
  const { _pid: pid, _lastOffset: offset } = client as unknown as { _pid: string; _lastOffset: string };
  return { pid, offset };
}

test.each([
  ["the same node", 1],
  ["another node", 2],
])("a client at its limit comes back to %s before its old connection is known to be dead", async (_, nodes) => {
  const prefix = freshPrefix();
  const gateways = [];
  for (let node = 0; node < nodes; node += 1) gateways.push(await startGateway({ prefix, file }));
  const [first] = gateways;
  const { token } = await first!.signIn("ada");
  const old = await connectClient(first!.url, token);
  const { id } = old;

  const back = await connectClient(gateways.at(-1)!.url, token, { auth: { token, ...pastOf(old) } });

  expect(back.ready).toMatchObject({ recovered: true });
  expect(back.id).toBe(id);
  await eventually(() => expect(told(old, "closing")).toMatchObject([{ code: "connection_replaced" }]));
  await expect(connectClient(first!.url, token)).rejects.toThrow("connection_limit");
});

test("the past of another session, or one made up, makes no way", async () => {
  const { url, signIn } = await startGateway({ file });
  const old = await connectClient(url, (await signIn("ada")).token);
  const { token } = await signIn("ada");

  const refusals = await Promise.all(
    [pastOf(old), { ...pastOf(old), pid: "made-up" }].map(async (past) => {
      const stranger = openClient(url, token, { auth: { token, ...past } });
      return new Promise((resolve) => stranger.once("connect_error", ({ message }) => resolve(message)));
    }),
  );

  expect(refusals).toEqual(["connection_limit", "connection_limit"]);
  expect(old.connected).toBe(true);
});
