import { expect, test } from "vitest";
import { startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { client, cut } from "./support.ts";

test("client.textOf() shows the whole text to late comers, over cuts and after its history was removed", async () => {
  const file = { channels: { answer: { subscribe: "public", merge: "append", history: { size: 2, ttlSeconds: 60 } } } };
  const gateway = await startGateway({ file });
  const tell = (event: string, data: unknown) =>
    gateway.call("POST", "/v1/publish", { channel: "answer:1", event, data });
  for (const text of "abcde") await tell("token", text);
  const ada = client(gateway.url, { token: (await gateway.signIn("ada")).token });
  const texts: string[] = [];

  const live = ada.textOf("answer:1");
  live.on("change", ({ text }) => texts.push(text));
  await live.loaded;
  await tell("token", "f");
  await eventually(() => expect(live.text).toBe("abcdef"));
  cut(ada);
  for (const text of "ghij") await tell("token", text);
  await tell("done", { reason: "stop" });
  await eventually(() => expect(live).toMatchObject({ text: "abcdefghij", last: { event: "done" } }));
  const again = ada.textOf("answer:1");
  expect(again.text).toBe("abcdefghij");
  await gateway.call("DELETE", "/v1/channels/answer%3A1/history");
  await eventually(() => expect([live.text, live.last]).toEqual(["", undefined]));

  expect(texts.slice(0, 2)).toEqual(["abcde", "abcdef"]);
  expect(texts.at(-1)).toBe("");
});
