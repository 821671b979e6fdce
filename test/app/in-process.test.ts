import { describe, expect, test } from "vitest";
import { z } from "zod";
import { GatewayError } from "../../src/index.ts";
import { readableLog } from "../support/edge.ts";
import { connectClient } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";
import { embed, join, listening } from "./support.ts";

describe("a handler of gateway.on", () => {
  test("gets validated input and the user, and acknowledges with what it returns", async () => {
    const gateway = await listening((own) =>
      own.on("todo:create", z.object({ title: z.string().min(1) }), ({ user }, { title }) => ({
        title: title.toUpperCase(),
        owner: user.userId,
      })),
    );
    const ann = await join(gateway, "ann");

    expect(await ann.emitWithAck("todo:create", { title: "milk" })).toEqual({ title: "MILK", owner: "ann" });
    expect(await ann.emitWithAck("todo:create", { title: 7 })).toMatchObject({
      ok: false,
      error: { code: "bad_request", message: expect.stringContaining("title") },
    });
  });

  test("gets several arguments, binary among them, and may answer with binary", async () => {
    const gateway = await listening((own) =>
      own.on("join", (_context, left: Buffer, right: string) => Buffer.concat([left, Buffer.from(right)])),
    );
    const ann = await join(gateway, "ann");

    expect(Buffer.from(await ann.emitWithAck("join", Buffer.from([1, 2]), "x"))).toEqual(Buffer.from([1, 2, 0x78]));
  });

  test("answers app_failed if it throws, and the code of a GatewayError", async () => {
    const gateway = await listening((own) => {
      own.on("break", () => {
        throw new Error("a secret of the app");
      });
      own.on("refuse", () => {
        throw new GatewayError("forbidden", "not yours");
      });
    });
    const ann = await join(gateway, "ann");

    const failed = await ann.emitWithAck("break");
    expect(failed).toMatchObject({ ok: false, error: { code: "app_failed", retryAfterMs: 1_000 } });
    expect(JSON.stringify(failed)).not.toContain("secret");
    expect(await ann.emitWithAck("refuse")).toMatchObject({ error: { code: "forbidden", message: "not yours" } });
  });

  test("is logged if it throws, also if what it has lost is a connection of its own", async () => {
    const { log, lines } = readableLog();
    const gateway = await embed({ log });
    gateway.on("save", () => {
      throw Object.assign(new Error("connect ECONNREFUSED 127.0.0.1:5432"), { syscall: "connect" });
    });
    await gateway.listen(0, "127.0.0.1");
    const ann = await join(gateway, "ann");

    expect(await ann.emitWithAck("save")).toMatchObject({ error: { code: "app_failed" } });

    const logged = { level: "error", msg: "failed", event: "save" };
    expect(lines).toContainEqual(expect.objectContaining(logged));
    expect(JSON.stringify(lines)).toContain("connect ECONNREFUSED 127.0.0.1:5432");
  });

  test("is refused at once with a TypeError if it is none, or its schema is none", async () => {
    const gateway: { on(...args: unknown[]): void; hooks: unknown } = await embed();
    const schema = z.object({});

    expect(() => gateway.on("save")).toThrow(new TypeError("save: a handler is missing"));
    expect(() => gateway.on("save", schema)).toThrow(new TypeError("save: a handler is missing"));
    expect(() => gateway.on("save", schema, "text")).toThrow(new TypeError("save: a handler is missing"));
    expect(() => gateway.on("save", undefined, undefined)).toThrow(new TypeError("save: a handler is missing"));
    expect(() => gateway.on("save", { title: "string" }, () => 1)).toThrow(
      new TypeError("save: the second argument is not a Standard Schema"),
    );
    expect(() => gateway.on(7, () => 1)).toThrow(TypeError);
    expect(() => (gateway.hooks as { connect(hook: unknown): void }).connect({})).toThrow(
      new TypeError("the connect hook must be a function"),
    );
  });

  test("cannot be one of an event that is built in", async () => {
    await listening((own) => {
      expect(() => own.on("subscribe", () => "never")).toThrow("subscribe is reserved");
      expect(() => own.on("disconnect", () => "never")).toThrow("disconnect is reserved");
    });
  });

  test("runs in the order in which a client sent its events", async () => {
    const order: number[] = [];
    const gateway = await listening((own) =>
      own.on("step", async (_context, number: number) => {
        await new Promise((resolve) => setTimeout(resolve, number === 1 ? 30 : 0));
        order.push(number);
      }),
    );
    const ann = await join(gateway, "ann");

    await Promise.all([1, 2, 3].map((number) => ann.emitWithAck("step", number)));

    expect(order).toEqual([1, 2, 3]);
  });

  test("publishes the data as it is at that moment", async () => {
    const gateway = await listening();
    const ann = await join(gateway, "ann");
    const data = { count: 1 };

    const first = gateway.publish({ channel: "chat:lobby", event: "counted", data });
    data.count = 2;
    await Promise.all([first, gateway.publish({ channel: "chat:lobby", event: "counted", data })]);

    const { publications } = await ann.emitWithAck("history", { channel: "chat:lobby" });
    expect(publications).toMatchObject([{ data: { count: 1 } }, { data: { count: 2 } }]);
  });

  test("publishes to a channel", async () => {
    const gateway = await listening((own) =>
      own.on("say", async ({ publish }, text: string) => {
        const published = await publish({ channel: "chat:lobby", event: "said", data: { text } });
        return "offset" in published && published.offset;
      }),
    );
    const [ann, bob] = await Promise.all([join(gateway, "ann"), join(gateway, "bob")]);
    await bob.emitWithAck("subscribe", { channel: "chat:lobby" });

    expect(await ann.emitWithAck("say", "hello")).toBe(1);

    await eventually(() =>
      expect(bob.events).toContainEqual([
        "publication",
        expect.objectContaining({ channel: "chat:lobby", event: "said", data: { text: "hello" } }),
        expect.any(String),
      ]),
    );
  });
});

test("reads and erases everything that is kept of a user", async () => {
  const gateway = await listening(() => undefined);
  await gateway.orders.create({ orderId: "o-1", parties: { customer: "ann" } });
  await gateway.sessions.create({ userId: "ann", data: { device: "tv" } });

  expect(await gateway.users.get("ann")).toMatchObject({
    sessions: [{ data: { device: "tv" } }],
    orders: [{ orderId: "o-1" }],
  });
  expect(await gateway.users.erase("ann")).toMatchObject({ removed: { sessions: 1, orders: 1 }, nodes: 1 });
  expect(await gateway.users.get("ann")).toMatchObject({ sessions: [], orders: [] });
});

describe("gateway.io", () => {
  test("is Socket.IO's server: listeners, acknowledgements both ways and rooms", async () => {
    const gateway = await listening(({ io }) =>
      io.on("connection", (socket) => {
        socket.on("chat message", (text: string, done?: (count: number) => void) => {
          io.emit("chat message", text);
          done?.(text.length);
        });
        socket.on("ask me", async (done: (answer: string) => void) =>
          done(await socket.timeout(5_000).emitWithAck("question", "why?")),
        );
      }),
    );
    const [ann, bob] = await Promise.all([join(gateway, "ann"), join(gateway, "bob")]);
    ann.on("question", (text: string, answer: (text: string) => void) => answer(`${text} because`));

    expect(await ann.emitWithAck("chat message", "hi")).toBe(2);
    expect(await ann.emitWithAck("ask me")).toBe("why? because");

    await eventually(() => expect(bob.events).toContainEqual(["chat message", "hi", expect.any(String)]));
  });

  test("publishes what is emitted to a room that is a channel", async () => {
    const gateway = await listening();
    const ann = await join(gateway, "ann");
    await ann.emitWithAck("subscribe", { channel: "chat:lobby" });

    gateway.io.to("chat:lobby").emit("said", { text: "hi" });

    await eventually(() => expect(ann.events.map(([name]) => name)).toContain("publication"));
    const history = await ann.emitWithAck("history", { channel: "chat:lobby" });
    expect(history.publications).toMatchObject([{ event: "said", data: { text: "hi" }, offset: 1 }]);
  });

  test("has rooms that are named by numbers, or by what is too long for a channel", async () => {
    const tooLong = `chat:${"x".repeat(300)}`;
    const gateway = await listening(({ io }) =>
      io.on("connection", (socket) => {
        socket.on("join", (room: string, done: () => void) => {
          void socket.join(room);
          done();
        });
        socket.on("say", (room: string, text: string) => socket.to(room).emit("said", text));
      }),
    );
    const [ann, bob] = await Promise.all([join(gateway, "ann"), join(gateway, "bob")]);
    for (const room of [7, tooLong]) await bob.emitWithAck("join", room);

    for (const room of [7, tooLong]) ann.emit("say", room, "by a client");
    gateway.io.to(7 as never).emit("said", "by the app");

    const said = () => bob.events.filter(([name]) => name === "said").map(([, text]) => text);
    await eventually(() => expect(said()).toHaveLength(3));
    expect(new Set(said())).toEqual(new Set(["by a client", "by the app"]));
  });

  test("reaches a socket once that is in a channel and in another room", async () => {
    const gateway = await embed({ channels: { named: { subscribe: "public", deliver: "event" } } });
    gateway.io.on("connection", (socket) => socket.join("upstairs"));
    await gateway.listen(0, "127.0.0.1");
    const [ann, bob] = await Promise.all([join(gateway, "ann"), join(gateway, "bob")]);
    await ann.emitWithAck("subscribe", { channel: "named:1" });
    const said = ({ events }: typeof ann) => events.filter(([name]) => name === "said").map(([, data]) => data);

    gateway.io.to(["named:1", "upstairs"]).emit("said", 1);
    await eventually(() => expect([said(ann), said(bob)]).toEqual([[1], [1]]));
    gateway.io.to(["named:1", "upstairs"]).emit("said", 2);

    await eventually(() =>
      expect([said(ann), said(bob)]).toEqual([
        [1, 2],
        [1, 2],
      ]),
    );
  });
});

describe("a moved-in server", () => {
  test.each(["websocket", "polling"])("has the middleware of its sessions in front of %s", async (transport) => {
    const gateway = await listening(({ io }) => {
      io.engine.use((request: object, _response: unknown, next: () => void) => {
        Object.assign(request, { session: { cart: 3 } });
        next();
      });
      io.on("connection", (socket) =>
        socket.on("cart", (done: (cart: unknown) => void) =>
          done((socket.request as { session?: { cart: number } }).session?.cart),
        ),
      );
    });

    const ann = await join(gateway, "ann", { transports: [transport] });

    expect(await ann.emitWithAck("cart")).toBe(3);
  });

  test("finds the user in socket.data, in its middleware, its listeners and on other nodes", async () => {
    const seen: unknown[] = [];
    const gateway = await listening(({ io }) => {
      io.use((socket, next) => {
        seen.push(socket.data.user.userId);
        next();
      });
      io.on("connection", (socket) => socket.on("who", (done: (user: object) => void) => done(socket.data.user)));
    });
    const { sessionId, token } = await gateway.sessions.create({ userId: "ann", info: { name: "Ann" } });
    const ann = await connectClient(gateway.url, token ?? "");

    const user = { userId: "ann", sessionId, roles: [], info: { name: "Ann" } };
    expect(seen).toEqual(["ann"]);
    expect(await ann.emitWithAck("who")).toEqual(user);
    expect((await gateway.io.fetchSockets()).map(({ data }) => data)).toContainEqual({ user });
  });

  test("keeps what socket.to publishes from the sender, and stores nothing volatile", async () => {
    const gateway = await listening(({ io }) =>
      io.on("connection", (socket) => {
        socket.on("draw", (stroke: number) => socket.to("chat:board").emit("draw", stroke));
        socket.on("point", (place: number) => socket.volatile.to("chat:board").emit("point", place));
      }),
    );
    const [ann, bob] = await Promise.all([join(gateway, "ann"), join(gateway, "bob")]);
    for (const client of [ann, bob]) await client.emitWithAck("subscribe", { channel: "chat:board" });

    ann.emit("point", 1);
    ann.emit("draw", 2);
    bob.emit("draw", 3);

    const dataOf = ({ events }: typeof ann) =>
      events
        .filter(([name]) => name === "publication")
        .map(([, { data }]: any): number => data)
        .toSorted((a, b) => a - b);
    await eventually(() => expect([dataOf(ann), dataOf(bob)]).toEqual([[3], [1, 2]]));
    const { publications } = await ann.emitWithAck("history", { channel: "chat:board" });
    expect(publications.map(({ data }: { data: number }) => data).toSorted((a: number, b: number) => a - b)).toEqual([
      2, 3,
    ]);
  });

  test("subscribes by joining a room that is a channel, whatever its rules, until it leaves", async () => {
    const gateway = await embed({ channels: { board: { deliver: "event" } } });
    gateway.io.on("connection", async (socket) => {
      socket.on("draw", (stroke: number) => socket.to("board:main").emit("draw", stroke));
      socket.on("leave", async (done: () => void) => {
        await socket.leave("board:main");
        done();
      });
      await socket.join("board:main");
      socket.emit("joined", socket.rooms.has("board:main"), socket.recovered);
    });
    await gateway.listen(0, "127.0.0.1");
    const [ann, bob] = await Promise.all([
      join(gateway, "ann"),
      join(gateway, "bob", { reconnection: true, reconnectionDelay: 10 }),
    ]);
    const namesOf = ({ events }: typeof ann, name: string) => events.filter(([event]) => event === name);
    await eventually(() => expect(namesOf(bob, "joined")).toEqual([["joined", true, false]]));
    ann.emit("draw", 1);
    await eventually(() => expect(namesOf(bob, "draw")).toHaveLength(1));

    bob.io.engine.close();
    ann.emit("draw", 2);

    await eventually(() => expect(namesOf(bob, "joined").at(-1)).toEqual(["joined", true, true]));
    const { token } = await gateway.sessions.create({ userId: "ann" });
    expect(await ann.emitWithAck("auth:refresh", { token })).toMatchObject({ ok: false });
    ann.emit("draw", 3);
    await eventually(() => expect(namesOf(bob, "draw").map(([, stroke]) => stroke)).toEqual([1, 2, 3]));
    expect(namesOf(ann, "draw")).toEqual([]);
    await bob.emitWithAck("leave");
    expect(await bob.emitWithAck("unsubscribe", { channel: "board:main" })).toMatchObject({
      error: { code: "not_subscribed" },
    });
  });

  test("begins anew, not recovered, where publications of a channel that it has joined are lost", async () => {
    const gateway = await embed({ channels: { board: { deliver: "event" } } });
    gateway.io.on("connection", async (socket) => {
      await socket.join("board:main");
      socket.emit("joined", socket.recovered);
    });
    await gateway.listen(0, "127.0.0.1");
    const ann = await join(gateway, "ann", { reconnection: true, reconnectionDelay: 10 });
    const told = (event: string) => ann.events.filter(([name]) => name === event).map(([, data]) => data);
    await eventually(() => expect(told("joined")).toEqual([false]));
    gateway.io.to("board:main").emit("draw", 1);
    await eventually(() => expect(told("draw")).toEqual([1]));

    await gateway.channels.clearHistory("board:main");

    await eventually(() => expect(told("joined")).toEqual([false, false]));
    expect(told("closing")).toMatchObject([{ code: "internal", reconnect: true }]);
    gateway.io.to("board:main").emit("draw", 2);
    await eventually(() => expect(told("draw")).toEqual([1, 2]));
  });

  test("serves the client's script to its pages, as Socket.IO does", async () => {
    const { url } = await listening();

    const script = await fetch(`${url}/socket.io/socket.io.js`);
    expect((await fetch(`${url}/socket.io/socket.io.js`, { method: "HEAD" })).status).toBe(200);

    expect(script.headers.get("content-type")).toBe("application/javascript; charset=utf-8");
    expect(await script.text()).toContain("socketio/socket.io");
    const etag = script.headers.get("etag") ?? "";
    expect((await fetch(`${url}/socket.io/socket.io.esm.min.js`, { headers: { "if-none-match": etag } })).status).toBe(
      304,
    );
    expect((await fetch(`${url}/socket.io/socket.io.esm.js`)).status).toBe(404);
    expect((await fetch(`${url}/socket.io/package.json`)).status).toBe(400);
  });
});

describe("an event that nothing handles", () => {
  test("is answered unknown_event, or told once by a warning", async () => {
    const own = await listening();
    const ann = await join(own, "ann");

    expect(await ann.emitWithAck("nonsense", 1)).toMatchObject({ ok: false, error: { code: "unknown_event" } });
    ann.emit("nonsense");
    ann.emit("nonsense");
    ann.emit("more nonsense");

    await eventually(() =>
      expect(
        ann.events.filter(([name]) => name === "warning").map(([, told]) => (told as { event: string }).event),
      ).toEqual(["nonsense", "more nonsense"]),
    );
  });
});

describe("an event without an acknowledgement that is refused", () => {
  test("is told by one warning per name and code, the client's requests included", async () => {
    const own = await listening((gateway) => {
      gateway.on("refuse", (_context, code: "forbidden" | "conflict") => {
        throw new GatewayError(code);
      });
      gateway.on("break", () => {
        throw new Error("a secret of the app");
      });
    });
    const ann = await join(own, "ann");

    ann.emit("refuse", "forbidden");
    ann.emit("refuse", "forbidden");
    ann.emit("refuse", "conflict");
    ann.emit("break");
    ann.emit("subscribe", { channel: "user:bob" });
    expect(await ann.emitWithAck("refuse", "forbidden")).toMatchObject({ ok: false });

    const told = () => ann.events.filter(([name]) => name === "warning").map(([, warning]) => warning);
    await eventually(() => expect(told()).toHaveLength(4));
    expect(told()).toEqual(
      expect.arrayContaining([
        { code: "forbidden", message: "Not allowed.", event: "refuse" },
        { code: "conflict", message: expect.any(String), event: "refuse" },
        { code: "app_failed", message: "The app failed to handle this.", event: "break" },
        { code: "forbidden", message: "Not allowed.", event: "subscribe" },
      ]),
    );
  });
});
