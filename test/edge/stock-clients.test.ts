import { expect, it } from "vitest";
import { connected, once, startEdge, stockClient } from "../support/edge.ts";

it.each(["websocket", "polling"])("a stock client connects over %s and is answered", async (transport) => {
  const { url } = await startEdge();
  const client = stockClient(url, { transports: [transport] });
  const ready = once(client, "ready");

  await connected(client);

  expect(await ready).toMatchObject({ nodeId: "edge", userId: "ann", sessionId: "session-1", recovered: false });
  expect(await client.emitWithAck("echo", { text: "hello" })).toEqual({ ok: true, text: "hello" });
});
