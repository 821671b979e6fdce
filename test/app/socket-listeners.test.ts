import { expect, test } from "vitest";
import { eventually, quietLog } from "../support/world.ts";
import { embed, join } from "./support.ts";

test("middleware of a socket that refuses an event leaves the client connected, as in Socket.IO", async () => {
  const logged: unknown[] = [];
  const log = { ...quietLog, error: (fields: { place?: unknown }) => void logged.push(fields.place) };
  const gateway = await embed({ log });
  const errors: string[] = [];
  gateway.io.on("connection", (socket) => {
    socket.use(([event], next) => next(event === "forbidden" ? new Error("not you") : undefined));
    socket.on("listen", (done: () => void) => {
      socket.on("error", ({ message }) => void errors.push(message));
      done();
    });
    socket.on("ask", (done: (text: string) => void) => done("answered"));
    socket.on("forbidden", () => void errors.push("was not refused"));
  });
  await gateway.listen(0, "127.0.0.1");
  const ann = await join(gateway, "ann");

  ann.emit("forbidden");
  await eventually(() => expect(logged).toEqual(["app.middleware"]));
  await ann.emitWithAck("listen");
  ann.emit("forbidden");

  expect(await ann.emitWithAck("ask")).toBe("answered");
  expect([errors, logged]).toEqual([["not you"], ["app.middleware"]]);
});

test("listeners for any event get the app's events, their arguments and acknowledgements", async () => {
  const gateway = await embed();
  const heard: unknown[][] = [];
  gateway.on("handled", () => "by the gateway");
  gateway.io.on("connection", (socket) => {
    socket.onAny((...event) => void heard.push(event.map((part) => (typeof part === "function" ? "function" : part))));
    socket.on("ask", (_text, done: (text: string) => void) => done("answered"));
  });
  await gateway.listen(0, "127.0.0.1");
  const ann = await join(gateway, "ann");

  await ann.emitWithAck("subscribe", { channel: "chat:1" });
  ann.emit("tell", { text: "hello" });

  expect(await ann.emitWithAck("ask", "why")).toBe("answered");
  expect(await ann.emitWithAck("handled", 1, 2)).toBe("by the gateway");
  expect(heard).toEqual([
    ["tell", { text: "hello" }],
    ["ask", "why", "function"],
    ["handled", 1, 2],
  ]);
});
