import { describe, expect, test } from "vitest";
import { readableLog } from "../support/edge.ts";
import { eventually, quietLog } from "../support/world.ts";
import { embed, join, listening } from "./support.ts";

function throwing(what: unknown): never {
  // oxlint-disable-next-line only-throw-error
  throw what;
}

describe("values between an app in process and its clients", () => {
  test("binary data beyond the limit is refused as text is, and the handler does not get it", async () => {
    const gateway = await embed({ config: { limits: { payloadBytes: 4_096 } } });
    const sizes: number[] = [];
    gateway.on("upload", (_context, file: Buffer) => sizes.push(file.length));
    await gateway.listen(0, "127.0.0.1");
    const ann = await join(gateway, "ann");

    expect(await ann.emitWithAck("upload", Buffer.alloc(4_000))).toBe(1);
    expect(await ann.emitWithAck("upload", Buffer.alloc(5_000))).toMatchObject({
      error: { code: "payload_too_large" },
    });
    ann.emit("upload", Buffer.alloc(5_000));

    await eventually(() => expect(ann.events.at(-1)).toMatchObject(["closing", { code: "protocol_error" }]));
    expect(sizes).toEqual([4_000]);
  });

  test("a publication that is to be kept from a room is logged: it is kept only from connections and users", async () => {
    const reported: object[] = [];
    const log = {
      ...quietLog,
      error: ({ place, channel, rooms }: any) => void reported.push({ place, channel, rooms }),
    };
    const gateway = await embed({ log });
    gateway.io.on("connection", (socket) => socket.join("players"));
    await gateway.listen(0, "127.0.0.1");
    const ann = await join(gateway, "ann");
    await ann.emitWithAck("subscribe", { channel: "chat:1" });

    gateway.io
      .to("chat:1")
      .except(["user:ann", String(ann.id)])
      .emit("said", 1);
    gateway.io.to("chat:1").except("players").emit("said", 2);

    await eventually(() => expect(ann.events.filter(([name]) => name === "publication")).toHaveLength(1));
    expect(reported).toEqual([{ place: "app.except", channel: "chat:1", rooms: ["players"] }]);
  });

  test("binary data cannot be published, because JSON would turn it into a list of bytes", async () => {
    const reported: string[] = [];
    const log = { ...quietLog, error: (fields: { err?: unknown }) => void reported.push(String(fields.err)) };
    const gateway = await embed({ log });
    gateway.io.on("connection", (socket) => socket.on("draw", (image) => gateway.io.to("chat:1").emit("image", image)));
    await gateway.listen(0, "127.0.0.1");
    const ann = await join(gateway, "ann");
    await ann.emitWithAck("subscribe", { channel: "chat:1" });
    const image = { parts: [Buffer.from([1, 2])] };

    await expect(gateway.publish({ channel: "chat:1", event: "image", data: image })).rejects.toMatchObject({
      code: "bad_request",
      field: "data.parts[0]",
    });
    expect(await ann.emitWithAck("publish", { channel: "chat:1", event: "image", data: image })).toMatchObject({
      error: { code: "bad_request", message: "data.parts[0]: must not contain binary data" },
    });
    ann.emit("draw", image);
    await eventually(() => expect(reported).toMatchObject([expect.stringContaining("data.parts[0]")]));
    const endless: unknown[] = [];
    endless.push(endless);
    await expect(gateway.publish({ channel: "chat:1", event: "image", data: endless })).rejects.toMatchObject({
      code: "bad_request",
    });
    expect((await gateway.channels.history("chat:1")).publications).toEqual([]);
  });

  test("handlers and listeners may send documents whose toJSON hides circular references and buffers", async () => {
    class Document {
      parent = this;
      id = Buffer.from("an ObjectId");
      toJSON = () => ({ title: "milk", at: new Date(0), never: new Date(Number.NaN) });
    }
    const shown = { title: "milk", at: "1970-01-01T00:00:00.000Z", never: null };
    const gateway = await listening((own) => {
      own.on("answered", ({ emit }) => {
        emit("told", [new Document()]);
        return new Document();
      });
      own.io.on("connection", (socket) => socket.on("listened", (done) => done([new Document()])));
    });
    const ann = await join(gateway, "ann");
    const told = new Promise((resolve) => ann.once("told", resolve));

    expect(await ann.emitWithAck("answered")).toEqual(shown);
    expect(await ann.emitWithAck("listened")).toEqual([shown]);
    expect(await told).toEqual([shown]);
    await gateway.publish({ channel: "chat:1", event: "added", data: { list: [new Document()] } });
    gateway.io.to("chat:1").emit("added", new Document());
    await eventually(async () =>
      expect((await gateway.channels.history("chat:1")).publications).toMatchObject([
        { data: { list: [shown] } },
        { data: shown },
      ]),
    );
  });

  test("a handler may not emit to its client what clients disconnect for", async () => {
    const gateway = await listening((own) =>
      own.on("files", ({ emit }) => emit("files", ...Array.from({ length: 11 }, () => Buffer.from([1])))),
    );
    const ann = await join(gateway, "ann");

    expect(await ann.emitWithAck("files")).toMatchObject({ error: { code: "app_failed" } });
    expect(ann.connected).toBe(true);
  });

  describe("an answer or a throw that cannot be sent is app_failed for the client, which stays connected", () => {
    const circular: { self?: unknown } = {};
    circular.self = circular;
    const files = Array.from({ length: 11 }, () => Buffer.from([1]));
    const linked: object[] = Array.from({ length: 40 }, () => ({}));
    for (const each of linked) Object.assign(each, linked);

    test.each<[string, () => unknown, string]>([
      ["a circular value", () => circular, "circular structure"],
      ["a circular value with binary", () => ({ circular, file: files[0] }), ""],
      ["values that all contain each other", () => ({ linked, file: files[0] }), "circular structure"],
      ["a BigInt", () => ({ count: 1n }), "BigInt"],
      ["more binary values than clients accept", () => files, "at most 10 binary values"],
      ["a text that is thrown", () => throwing("out of milk"), "the app threw 'out of milk'"],
      ["undefined that is thrown", () => throwing(undefined), "the app threw undefined"],
      ["a promise of a failure", () => Promise.reject(new TypeError("no such shelf")), "no such shelf"],
    ])("%s", async (_, act, reason) => {
      const { log, text } = readableLog();
      const gateway = await embed({ log });
      gateway.on("act", act);
      gateway.on("fine", () => "fine");
      gateway.io.on("connection", (socket) => {
        socket.on("listened", async (done: (answer: unknown) => void) => {
          let answer: unknown = 1n;
          try {
            answer = await act();
          } catch {}
          done(answer);
        });
      });
      await gateway.listen(0, "127.0.0.1");
      const ann = await join(gateway, "ann");

      const failed = { ok: false, error: { code: "app_failed", retryAfterMs: 1_000 } };
      expect(await ann.emitWithAck("act")).toMatchObject(failed);
      expect(await ann.emitWithAck("listened")).toMatchObject(failed);
      expect(await ann.emitWithAck("fine")).toBe("fine");
      expect(ann.connected).toBe(true);
      expect(text()).toContain(reason);
    });
  });
});
