import { describe, expect, it } from "vitest";
import { errorCatalogue, type ErrorBody, type ErrorCode } from "../../src/protocol/errors.ts";
import { eventually } from "../support/world.ts";
import { client, contractServer, eventsOf } from "./support.ts";

const refusal = (code: ErrorCode, retryAfterMs?: number): ErrorBody => ({
  code,
  message: errorCatalogue[code].message,
  ...(retryAfterMs !== undefined && { retryAfterMs }),
});

describe("a subscription", () => {
  it("rejects with the gateway's code if it is forbidden, and is not retried", async () => {
    const server = await contractServer({ refuseRequest: () => refusal("forbidden") });
    const order = client(server.url).channel("order:o-1");
    const lines = eventsOf(order);

    await expect(order.subscribe()).rejects.toMatchObject({ name: "TidegateError", code: "forbidden" });

    expect(lines).toEqual(["unsubscribed forbidden false"]);
    expect(order.state).toBe("unsubscribed");
    expect(server.requests).toHaveLength(1);
  });

  it("is retried after a temporary error", async () => {
    let tries = 0;
    const refuseRequest = () => (++tries < 4 ? refusal("unavailable") : undefined);
    const server = await contractServer({ refuseRequest });
    const lobby = client(server.url).channel("chat:lobby");

    await lobby.subscribe();

    expect([tries, lobby.state]).toEqual([4, "subscribed"]);
  });

  it("is retried after a timeout", async () => {
    let tries = 0;
    const server = await contractServer({ refuseRequest: () => (++tries < 3 ? "silence" : undefined) });
    const lobby = client(server.url, { requestTimeoutMs: 1_000 }).channel("chat:lobby");

    await lobby.subscribe();

    expect(tries).toBe(3);
  });

  it("is restored after the gateway ended it temporarily", async () => {
    const server = await contractServer();
    const lobby = client(server.url).channel("chat:lobby");
    const lines = eventsOf(lobby);
    await lobby.subscribe();
    server.publish("chat:lobby", "said", 1);
    server.takeAway({ channel: "chat:lobby", ...refusal("unavailable") });
    server.publish("chat:lobby", "said", 2);

    const expected = ["1", "unsubscribed unavailable true", "2 recovered", "recovered 1 up to 2"];
    await eventually(() => expect(lines).toEqual(expected));
  });

  it("ends after the gateway ended it permanently", async () => {
    const server = await contractServer();
    const ada = client(server.url);
    const lobby = ada.channel("chat:lobby");
    const lines = eventsOf(lobby);
    await lobby.subscribe();
    server.takeAway({ channel: "chat:lobby", ...refusal("forbidden") });
    await eventually(() => expect(lines).toEqual(["unsubscribed forbidden false"]));

    await ada.sessions.list();
    expect(lobby.state).toBe("unsubscribed");
    expect(server.requests.filter(({ name }) => name === "subscribe")).toHaveLength(1);
  });

  it("follows the last of any sequence of subscribe and unsubscribe", async () => {
    const server = await contractServer({ answerDelayMs: () => 10 });
    const lobby = client(server.url).channel("chat:lobby");
    const lines = eventsOf(lobby);
    const first = lobby.subscribe().catch((error: Error) => error.message);
    const gone = lobby.unsubscribe();
    const second = lobby.subscribe();

    expect(await first).toBe("chat:lobby was unsubscribed.");
    await Promise.all([gone, second]);
    server.publish("chat:lobby", "said", 1);
    await eventually(() => expect(lines).toEqual(["1"]));
  });

  it("rejects at once on a client that was closed", async () => {
    const server = await contractServer();
    const ada = client(server.url);
    ada.close();

    await expect(ada.channel("chat:lobby").subscribe()).rejects.toMatchObject({ code: "closed" });
  });

  it("returns the same channel for the same name while it is referenced", async () => {
    const server = await contractServer();
    const ada = client(server.url);
    const first = ada.channel("chat:lobby");

    expect(ada.channel("chat:lobby")).toBe(first);
    expect(first.subscribe()).toBe(ada.channel("chat:lobby").subscribe());
  });
});

describe("many subscriptions", () => {
  it("all succeed in the end although the gateway limits their rate", async () => {
    let tokens = 20;
    let filledAt = performance.now();
    let refused = 0;
    // One every two milliseconds, also while nobody looks.
    const refill = (): void => {
      const gained = Math.floor((performance.now() - filledAt) / 2);
      filledAt += gained * 2;
      tokens = Math.min(tokens + gained, 20);
    };
    const server = await contractServer({
      refuseRequest() {
        refill();
        if (tokens === 0) return ((refused += 1), refusal("rate_limited", 4));
        tokens -= 1;
        return undefined;
      },
    });
    const ada = client(server.url);

    const channels = Array.from({ length: 100 }, (_, index) => ada.channel(`chat:${index}`));
    await Promise.all(channels.map((channel) => channel.subscribe()));

    expect(channels.every(({ state }) => state === "subscribed")).toBe(true);
    // Patience: far fewer refusals than a client that asks for all of them again at once would earn.
    expect(refused).toBeLessThan(40);
  });
});
