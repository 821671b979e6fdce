import { describe, expectTypeOf, test } from "vitest";
import { z } from "zod";
import { connect, type Channel, type Client, type LiveState } from "../../src/client/client.ts";
import { createPublisher, overHttp, overStream } from "../../src/publisher/publisher.ts";
import { createGateway, defineContract, type ErrorCode, type Gateway } from "../../src/index.ts";
import type { contract } from "./contract.ts";

type OfContract = typeof contract;

/** Checked by the compiler; nothing of it runs. */
const checkedTypes = (check: () => unknown) => () => void check;

describe("with a contract", () => {
  test(
    "the client knows a channel's events and their data",
    checkedTypes(() => {
      const client = connect<OfContract>("http://localhost", { token: "t" });
      const lobby = client.channel("chat:lobby");
      lobby.on("publication", (publication) => {
        expectTypeOf(publication.event).toEqualTypeOf<"said" | "typing">();
        if (publication.event === "said")
          expectTypeOf(publication.data).toEqualTypeOf<{ text: string; tags: string[] }>();
      });
      void lobby.publish("said", { text: "hi" });
      void client.channel(`price:${1 + 1}`).publish("changed", { cents: 1, currency: "EUR" });
      // @ts-expect-error -- there is no such event
      void lobby.publish("sad", { text: "hi" });
      // @ts-expect-error -- text is a string
      void lobby.publish("said", { text: 1 });
      // A channel of another kind is open, and types may be stated as before.
      void client.channel("news:today").publish("anything", 1);
      expectTypeOf(client.channel<{ headline: string }>("news:today")).toEqualTypeOf<Channel<{ headline: string }>>();
    }),
  );

  test(
    "the client's socket knows the app's events and their answers",
    checkedTypes(async () => {
      const { socket } = connect<OfContract>("http://localhost", { token: "t" });
      socket.emit("move", { x: 1, y: 2 });
      const answer = await socket.emitWithAck("todo:create", { title: "milk" });
      if ("id" in answer) expectTypeOf(answer.id).toEqualTypeOf<string>();
      else expectTypeOf(answer.error.code).toEqualTypeOf<ErrorCode>();
      socket.on("said", (data, place) => {
        expectTypeOf(data).toEqualTypeOf<{ text: string; tags: string[] }>();
        expectTypeOf(place.channel).toEqualTypeOf<string>();
      });
      // @ts-expect-error -- y is missing
      socket.emit("move", { x: 1 });
      // @ts-expect-error -- the app has no such event
      socket.emit("jump", {});
    }),
  );

  test(
    "publishers over HTTP and the stream know what to publish",
    checkedTypes(async () => {
      const publisher = createPublisher<OfContract>(overHttp({ url: "http://localhost", apiKey: "k" }));
      const stream = createPublisher<OfContract>(overStream({ redis: { xadd: async () => "1-0" } }));
      const { offset } = await publisher.publish({ channel: "chat:lobby", event: "said", data: { text: "hi" } });
      expectTypeOf(offset).toEqualTypeOf<number>();
      const { entryId } = await stream.publish({
        channel: "price:7",
        event: "changed",
        data: { cents: 1, currency: "EUR" },
      });
      expectTypeOf(entryId).toEqualTypeOf<string>();
      void publisher.broadcast(["chat:a", "chat:b"], { event: "typing", data: { userId: "ann" } });
      void publisher.publish({ channel: "news:today", event: "anything", data: 1, idempotencyKey: "k" });
      // @ts-expect-error -- not a currency
      void publisher.publish({ channel: "price:7", event: "changed", data: { cents: 1, currency: "CHF" } });
      // @ts-expect-error -- there is no such event
      void stream.publish({ channel: "chat:lobby", event: "sad", data: { text: "hi" } });
      // @ts-expect-error -- userId is missing
      void publisher.broadcast(["chat:a"], { event: "typing", data: {} });
    }),
  );

  test(
    "the app's handlers know what they receive, answer and publish",
    checkedTypes(async () => {
      const gateway = await createGateway({ contract: {} as OfContract });
      expectTypeOf(gateway).toEqualTypeOf<Gateway<OfContract>>();
      gateway.on("todo:create", async ({ publish }, input) => {
        expectTypeOf(input).toEqualTypeOf<{ title: string; done: boolean }>();
        await publish({ channel: "chat:todos", event: "said", data: { text: input.title } });
        // @ts-expect-error -- text is missing
        await publish({ channel: "chat:todos", event: "said", data: {} });
        return { id: "1" };
      });
      // @ts-expect-error -- the answer has a string as id
      gateway.on("todo:create", () => ({ id: 1 }));
      // @ts-expect-error -- the contract has no such event
      gateway.on("jump", () => undefined);
      // @ts-expect-error -- not a kind's event
      void gateway.publish({ channel: "chat:lobby", event: "sad", data: {} });
    }),
  );
});

describe("with a contract that has state, orders and scores", () => {
  const more = defineContract({
    state: { board: { title: z.string(), "cursor:*": z.object({ x: z.number() }) } },
    orders: {
      data: z.object({ total: z.number() }),
      events: { confirmed: z.object({ by: z.string() }) },
      signals: { place: z.object({ lat: z.number() }) },
    },
    leaderboards: { "race:*": z.object({ car: z.string() }) },
  });

  test(
    "the client knows values of state",
    checkedTypes(() => {
      const client = connect<typeof more>("http://localhost", { token: "t" });
      expectTypeOf(client.stateOf("board:1")).toEqualTypeOf<LiveState<string | { x: number }>>();
      expectTypeOf(client.stateOf("other:1")).toEqualTypeOf<LiveState>();
      expectTypeOf(client.stateOf<{ a: 1 }>("other:1")).toEqualTypeOf<LiveState<{ a: 1 }>>();
      // @ts-expect-error -- no value of this kind is a number
      void client.stateOf("board:1").set("title", 1);
    }),
  );

  test(
    "publishers know the data of orders, their events and signals, and of scores",
    checkedTypes(() => {
      const publisher = createPublisher<typeof more>(overHttp({ url: "http://localhost", apiKey: "k" }));
      const parties = { customer: "ann" };
      void publisher.createOrder({ orderId: "o", parties, data: { total: 1 } });
      void publisher.updateOrder({ orderId: "o", parties });
      void publisher.orderEvent({ orderId: "o", status: "confirmed", data: { by: "eve" } });
      void publisher.orderEvent({ orderId: "o", status: "delivered" });
      void publisher.orderSignal({ orderId: "o", name: "place", data: { lat: 1 } });
      void publisher.submitScore({ board: "race:7", member: "ann", score: 1, data: { car: "red" } });
      void publisher.submitScore({ board: "daily", member: "ann", score: 1 });
      // @ts-expect-error -- data is missing
      void publisher.createOrder({ orderId: "o", parties });
      // @ts-expect-error -- total is a number
      void publisher.updateOrder({ orderId: "o", data: { total: "1" } });
      // @ts-expect-error -- by is a string
      void publisher.orderEvent({ orderId: "o", status: "confirmed", data: { by: 1 } });
      // @ts-expect-error -- lat is missing
      void publisher.orderSignal({ orderId: "o", name: "place", data: {} });
      // @ts-expect-error -- car is missing
      void publisher.submitScore({ board: "race:7", member: "ann", score: 1, data: {} });
    }),
  );
});

describe("without a contract", () => {
  test(
    "everything is open",
    checkedTypes(async () => {
      const client: Client = connect("http://localhost", { token: "t" });
      expectTypeOf(client.channel("chat:lobby")).toExtend<Channel>();
      void client.channel("chat:lobby").publish("anything", 1);
      const publisher = createPublisher(overHttp({ url: "http://localhost", apiKey: "k" }));
      void publisher.publish({ channel: "chat:lobby", event: "anything", data: [1] });
      const gateway: Gateway = await createGateway();
      gateway.on("anything", (_context, left: number, right: string) => left + right);
      void gateway.publish({ channel: "chat:lobby", event: "anything", data: null });
    }),
  );
});
