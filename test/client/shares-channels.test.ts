import { describe, expect, it } from "vitest";
import { eventually } from "../support/world.ts";
import { client, contractServer, eventsOf } from "./support.ts";

const names = (server: { requests: { name: string }[] }) => server.requests.map(({ name }) => name);

describe("two users of one channel in a page", () => {
  it("do not end it for each other; the last one does", async () => {
    const server = await contractServer();
    const ada = client(server.url);
    const [header, sidebar] = [ada.channel("chat:lobby"), ada.channel("chat:lobby")];
    const lines = eventsOf(sidebar);
    await Promise.all([header.subscribe(), sidebar.subscribe()]);

    await header.unsubscribe();
    server.publish("chat:lobby", "said", 1);
    await eventually(() => expect(lines).toEqual(["1"]));
    expect(names(server)).toEqual(["subscribe"]);

    await sidebar.unsubscribe();
    expect(names(server)).toEqual(["subscribe", "unsubscribe"]);
    expect(sidebar.state).toBe("unsubscribed");
  });

  it("do not affect each other, however often one of them unsubscribes", async () => {
    const server = await contractServer();
    const lobby = client(server.url).channel("chat:lobby");
    const lines = eventsOf(lobby);
    const [header, sidebar] = [lobby.acquire(), lobby.acquire()];
    await Promise.all([header.subscribed, sidebar.subscribed, lobby.subscribe()]);

    await Promise.all([header.release(), header.release(), lobby.unsubscribe(), lobby.unsubscribe()]);
    await header.release();

    server.publish("chat:lobby", "said", 1);
    await eventually(() => expect(lines).toEqual(["1"]));
    expect(names(server)).toEqual(["subscribe"]);
    await sidebar.release();
    expect(names(server)).toEqual(["subscribe", "unsubscribe"]);
  });

  it("whose first subscription was refused do not end the second one by leaving late", async () => {
    let isRefused = true;
    const refusal = { code: "forbidden", message: "Not allowed." } as const;
    const server = await contractServer({ refuseRequest: () => (isRefused ? refusal : undefined) });
    const lobby = client(server.url).channel("chat:lobby");
    const header = lobby.acquire();
    await expect(header.subscribed).rejects.toMatchObject({ code: "forbidden" });
    isRefused = false;
    await lobby.acquire().subscribed;

    await header.release();

    expect(lobby.state).toBe("subscribed");
  });

  it("may be a live view and a channel, in any order", async () => {
    const snapshot = () => ({ order: { orderId: "o-1", signals: {} }, timeline: [] });
    const server = await contractServer({ snapshot });
    const ada = client(server.url);
    const raw = ada.channel("order:o-1");
    const lines = eventsOf(raw);
    await raw.subscribe();
    const view = ada.order("o-1");
    await view.loaded;

    view.close();
    view.close();
    server.publish("order:o-1", "order.status", { orderId: "o-1", status: "x", sequence: 1 });

    await eventually(() => expect(lines.at(-1)).toBe("1"));
    expect(raw.state).toBe("subscribed");
    expect(names(server)).not.toContain("unsubscribe");
  });

  it("may be a live view and a channel that is unsubscribed twice, which does not end the view", async () => {
    const snapshot = () => ({ order: { orderId: "o-1", signals: {} }, timeline: [] });
    const server = await contractServer({ snapshot });
    const ada = client(server.url);
    const view = ada.order("o-1");
    await view.loaded;
    const raw = ada.channel("order:o-1");
    await raw.subscribe();

    await raw.unsubscribe();
    await raw.unsubscribe();

    expect([view.state, names(server).includes("unsubscribe")]).toEqual(["subscribed", false]);
  });

  it("the second receives a current snapshot, and the first every publication once", async () => {
    let version = 0;
    const server = await contractServer({ snapshot: () => ({ version: (version += 1) }) });
    const ada = client(server.url);
    const first = ada.channel("doc:a");
    const lines = eventsOf(first);
    expect(await first.subscribe()).toEqual({ position: expect.any(Object), snapshot: { version: 1 } });
    // The gateway holds back what is published up to an answer, so the answer is ahead of what was heard.
    server.publish("doc:a", "said", 1);
    await eventually(() => expect(lines).toHaveLength(2));
    server.lose("doc:a", "said", 2);
    server.lose("doc:a", "said", 3);

    const second = await ada.channel("doc:a").subscribe();

    expect(second).toMatchObject({ position: { offset: 3 }, snapshot: { version: expect.any(Number) } });
    expect(lines.slice(0, 4)).toEqual(['snapshot {"version":1}', "1", "2 recovered", "3 recovered"]);
    expect(lines[4]).toMatch(/^snapshot/);
    server.publish("doc:a", "said", 4);
    await eventually(() => expect(lines.at(-1)).toBe("4"));
  });
});
