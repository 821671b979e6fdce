import { expect, it } from "vitest";
import { startGateway } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { client, cut } from "./support.ts";

it("sees no gap where a publication is not meant for it, live and when it recovers", async () => {
  const file = { channels: { chat: { subscribe: "public" } } };
  const { url, call, signIn } = await startGateway({ file });
  const reader = client(url, { token: (await signIn("ada")).token });
  const channel = reader.channel("chat:a");
  const seen: unknown[] = [];
  const states: string[] = [];
  channel.on("publication", ({ data }) => void seen.push(data));
  await channel.subscribe();
  channel.on("state", ({ state }) => void states.push(state));
  channel.on("reset", () => void states.push("reset"));
  const publish = (data: number) =>
    call("POST", "/v1/publish", {
      channel: "chat:a",
      event: "said",
      data,
      ...(data % 2 === 0 && { except: "user:ada" }),
    });

  for (const data of [1, 2, 3]) await publish(data);
  await eventually(() => expect(seen).toEqual([1, 3]));
  expect(states).toEqual([]);

  cut(reader);
  for (const data of [4, 5, 6]) await publish(data);
  await eventually(() => expect(seen).toEqual([1, 3, 5]));
  await publish(7);
  await eventually(() => expect(seen).toEqual([1, 3, 5, 7]));
  expect(states).not.toContain("reset");
  expect(channel.position?.offset).toBe(7);
});
