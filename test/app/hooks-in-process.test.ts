import { describe, expect, test } from "vitest";
import type { AppRequest } from "../../src/index.ts";
import { connectClient, told } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { embed, hookKinds as kinds, join, withoutToken } from "./support.ts";

describe("hooks of an app in this process", () => {
  test("have the same contract", async () => {
    const seen: AppRequest[] = [];
    const gateway = await embed({ channels: kinds });
    gateway.hooks.connect((request) => {
      seen.push(request);
      return { userId: `user of ${request.connection?.headers["cookie"]}` };
    });
    gateway.hooks.subscribe(async ({ channel }) =>
      channel === "room:1" ? { allow: true } : { refuse: { code: "full" } },
    );
    gateway.hooks.publish(({ args: [data] }) => ({ data: { wrapped: data as string } }));
    gateway.on("whoami", ({ connection: { headers, auth } }) => ({ cookie: headers["cookie"], auth }));
    await gateway.listen(0, "127.0.0.1");

    const client = await connectClient(gateway.url, "", withoutToken);
    const subscribe = (channel: string) => client.emitWithAck("subscribe", { channel });

    expect(client.ready).toMatchObject({ userId: "user of sid=c-1" });
    expect(seen).toMatchObject([{ type: "connect", connection: { connectionId: client.id, auth: { guest: "g-7" } } }]);
    expect(seen[0]?.connection?.headers).not.toHaveProperty("authorization");
    expect(await client.emitWithAck("whoami")).toEqual({ cookie: "sid=c-1", auth: { guest: "g-7" } });
    expect(await subscribe("room:1")).toMatchObject({ ok: true });
    expect(await subscribe("room:2")).toMatchObject({ error: { code: "full" } });
    expect(await client.emitWithAck("publish", { channel: "room:1", event: "e", data: 1 })).toMatchObject({ ok: true });
    await eventually(() => expect(told(client, "publication")).toMatchObject([{ data: { wrapped: 1 } }]));
  });

  test("are asked before a key of the state is set, and may change its value", async () => {
    const gateway = await embed({ channels: { board: { subscribe: "public", publish: "hook", state: true } } });
    const asked: unknown[] = [];
    gateway.hooks.publish(({ event, args: [data] }) => {
      asked.push([event, data]);
      const { key, value } = data as { key: string; value: unknown };
      return key === "locked" ? { refuse: { code: "locked" } } : { data: { key, value: { checked: value } as {} } };
    });
    await gateway.listen(0, "127.0.0.1");
    const client = await join(gateway, "ann");
    const set = (key: string) => client.emitWithAck("state:set", { channel: "board:1", key, value: 1 });

    expect(await set("locked")).toMatchObject({ error: { code: "locked" } });
    expect(await set("open")).toMatchObject({ ok: true, revision: 1 });
    expect(asked[1]).toEqual(["state:set", { key: "open", value: 1 }]);
    const { snapshot } = await client.emitWithAck("subscribe", { channel: "board:1" });
    expect(snapshot.entries).toMatchObject({ open: { value: { checked: 1 } } });
  });

  test("are asked again where rights changed while they were asked about a subscription", async () => {
    const gateway = await embed({ channels: kinds });
    const asked: string[] = [];
    const { promise: changed, resolve: change } = Promise.withResolvers<void>();
    let isOpen = true;
    gateway.hooks.subscribe(async ({ channel }) => {
      asked.push(String(channel));
      const answer = isOpen ? ({ allow: true } as const) : { refuse: { code: "closed" } };
      if (channel === "room:1") await changed;
      return answer;
    });
    await gateway.listen(0, "127.0.0.1");
    const client = await join(gateway, "ann");
    const subscribed = client.emitWithAck("subscribe", { channel: "room:1" });
    await eventually(() => expect(asked).toEqual(["room:1"]));

    isOpen = false;
    await gateway.sessions.update(String(client.ready.sessionId), { data: { n: 1 } });
    change();

    expect(await subscribed).toMatchObject({ ok: false, error: { code: "closed" } });
    expect(asked).toEqual(["room:1", "room:1"]);
  });

  test("that fail, or of which there is none, let nobody in", async () => {
    const gateway = await embed({ channels: kinds });
    gateway.hooks.subscribe(() => {
      throw new Error("a bug");
    });
    await gateway.listen(0, "127.0.0.1");
    const client = await join(gateway, "ann");

    await expect(connectClient(gateway.url, "", { auth: {} })).rejects.toMatchObject({ message: "unauthorized" });
    expect(await client.emitWithAck("subscribe", { channel: "room:1" })).toMatchObject({
      error: { code: "app_failed" },
    });
    expect(await client.emitWithAck("publish", { channel: "room:1", event: "e", data: 1 })).toMatchObject({
      error: { code: "forbidden" },
    });
  });
});
