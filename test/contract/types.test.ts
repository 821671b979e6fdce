import { describe, expectTypeOf, test } from "vitest";
import { connect, type Channel, type Client } from "../../src/client/client.ts";
import { createPublisher, overHttp, overStream } from "../../src/publisher/publisher.ts";
import { createGateway, type ErrorCode, type Gateway } from "../../src/index.ts";
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
