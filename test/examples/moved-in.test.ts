import type { Socket } from "socket.io-client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/world.ts";
import { examples, next, startStock, startTidegate, type Example, type Stage } from "./support.ts";

/** The same for the original and for Tidegate: `midway` kills a node, if there are several. */
const stories: Record<Example, (stage: Stage) => Promise<void>> = {
  async whiteboard(stage) {
    const clients = await connectAll(stage, "whiteboard", ["ann", "bob", "cid"]);
    const [ann, bob, cid] = clients;
    const drawn = clients.map((client) => record(client, "drawing"));
    const draw = (client: Socket, ...numbers: number[]) =>
      numbers.forEach((number) => client.emit("drawing", { by: clients.indexOf(client), number }));
    const numbersBy = (by: number) => drawn.map((lines) => lines.filter((line) => line.by === by && line.number > 0));
    // Nobody is told when all see the same board.
    await eventually(() => {
      for (const client of clients) draw(client, 0);
      expect(drawn.map((lines) => new Set(lines.map(({ by }) => by)).size)).toEqual([2, 2, 2]);
    });

    draw(ann, 1);
    draw(bob, 1);
    await eventually(() => expect(numbersBy(1).map((lines) => lines.length)).toEqual([1, 0, 1]));
    await stage.midway("whiteboard", bob);
    draw(ann, 2, 3, 4);
    draw(bob, 2, 3);
    draw(cid, 1, 2);

    const lines = (by: number, count: number) => Array.from({ length: count }, (_, n) => ({ by, number: n + 1 }));
    await eventually(() => {
      expect(numbersBy(0)).toEqual([[], lines(0, 4), lines(0, 4)]);
      expect(numbersBy(1)).toEqual([lines(1, 3), [], lines(1, 3)]);
      expect(numbersBy(2)).toEqual([lines(2, 2), lines(2, 2), []]);
    });
  },

  async todo(stage) {
    const clients = await connectAll(stage, "todo", ["ann", "bob", "cid"]);
    const [ann, bob, cid] = clients;
    const lists = await Promise.all(clients.map(followTodos));
    const create = async (client: Socket, title: string): Promise<string> =>
      (await client.emitWithAck("todo:create", { title, completed: false })).data;
    expect(await ann.emitWithAck("todo:create", { title: "" })).toMatchObject({ error: "invalid payload" });
    expect(await ann.emitWithAck("todo:read", crypto.randomUUID())).toEqual({ error: "entity not found" });

    const milk = await create(ann, "milk");
    const bread = await create(bob, "bread");
    await eventually(() => expect(lists[2]?.size).toBe(2));
    await stage.midway("todo", bob);
    expect(await ann.emitWithAck("todo:update", { id: milk, title: "milk", completed: true })).toEqual({});
    expect(await cid.emitWithAck("todo:delete", bread)).toEqual({});
    await create(cid, "butter");
    await create(bob, "beer");

    const { data: stored } = await ann.emitWithAck("todo:list");
    expect(stored.map(({ title, completed }: any) => [title, completed])).toEqual([
      ["milk", true],
      ["butter", false],
      ["beer", false],
    ]);
    // Each has seen what the others did; what it did itself it was answered.
    await eventually(() => {
      expect([...(lists[1]?.keys() ?? [])].toSorted()).toEqual(["butter", "milk"]);
      expect(lists[1]?.get("milk")).toBe(true);
      expect([...(lists[0]?.keys() ?? [])].toSorted()).toEqual(["beer", "butter"]);
      expect([...(lists[2]?.keys() ?? [])].toSorted()).toEqual(["beer", "bread", "milk"]);
    });
  },

  async "group-chat"(stage) {
    const clients = await connectAll(stage, "group-chat", ["ann", "bob", "cid"]);
    const [ann, bob, cid] = clients;
    const read = clients.map((client) => record(client, "new message"));
    const typing = record(cid, "typing");
    const joined = record(ann, "user joined");
    for (const [index, name] of ["ann", "bob", "cid"].entries())
      expect(await join(clients[index]!, name)).toBe(index + 1);
    await eventually(() => expect(joined).toEqual([joinedAs("bob", 2), joinedAs("cid", 3)]));

    ann.emit("typing");
    bob.emit("new message", "hello");
    await eventually(() =>
      expect([typing, read[0], read[2]]).toEqual([[{ username: "ann" }], said("bob", "hello"), said("bob", "hello")]),
    );
    await stage.midway("group-chat", bob);
    for (const text of ["one", "two", "three"]) ann.emit("new message", text);
    if (!bob.connected) await next(bob, "connect");
    bob.emit("add user", "bob");
    bob.emit("new message", "back");
    cid.emit("new message", "welcome");

    const from = (texts: { username: string }[], name: string) => texts.filter(({ username }) => username === name);
    await eventually(() => {
      for (const texts of [read[1], read[2]])
        expect(from(texts ?? [], "ann")).toEqual(said("ann", "one", "two", "three"));
      for (const texts of [read[0], read[2]]) expect(from(texts ?? [], "bob")).toEqual(said("bob", "hello", "back"));
      for (const texts of [read[0], read[1]]) expect(from(texts ?? [], "cid")).toEqual(said("cid", "welcome"));
    });
  },

  async "private-messaging"(stage) {
    const connect = (auth: object) => stage.connect("private-messaging", auth);
    const ann = await signedIn(connect, { username: "ann" });
    const bob = await signedIn(connect, { username: "bob" });
    const laptop = await signedIn(connect, { sessionID: ann.sessionID });
    await eventually(async () => {
      const [refusal] = await next(await connect({}), "connect_error");
      expect(refusal.message).toBe("invalid username");
    });
    expect(laptop.userID).toBe(ann.userID);
    expect(bob.users.map(({ username, connected }) => [username, connected])).toEqual([
      ["ann", true],
      ["bob", true],
    ]);
    const read = [ann, bob, laptop].map(({ socket }) => record(socket, "private message"));
    const write = ({ socket }: typeof ann, to: string, ...texts: string[]) =>
      texts.forEach((content) => socket.emit("private message", { content, to }));

    write(ann, bob.userID, "one");
    await eventually(() => expect(read.map((texts) => texts.length)).toEqual([0, 1, 1]));
    await stage.midway("private-messaging", bob.socket);
    write(ann, bob.userID, "two", "three");
    write(bob, ann.userID, "four");

    const toBob = ["one", "two", "three"].map((content) => ({ content, from: ann.userID, to: bob.userID }));
    const toAnn = { content: "four", from: bob.userID, to: ann.userID };
    await eventually(() => {
      expect(read[0]).toEqual([toAnn]);
      expect(read[1]).toEqual(toBob);
      expect(read[2]?.toSorted(byContent)).toEqual([...toBob, toAnn].toSorted(byContent));
    });
    // A message is stored after it has been sent.
    await eventually(async () => {
      const phone = await signedIn(connect, { sessionID: bob.sessionID });
      const withAnn = phone.users.find(({ userID }) => userID === ann.userID);
      expect(withAnn?.messages.toSorted(byContent)).toEqual([...toBob, toAnn].toSorted(byContent));
    });
  },
};

const byContent = (a: { content: string }, b: { content: string }): number => a.content.localeCompare(b.content);
const said = (username: string, ...messages: string[]) => messages.map((message) => ({ username, message }));
const joinedAs = (username: string, numUsers: number) => ({ username, numUsers });

/** First arguments of an event. */
function record(client: Socket, event: string): any[] {
  const received: unknown[] = [];
  client.on(event, (argument: unknown) => received.push(argument));
  return received;
}

/** One after the other, so that each is on a node of its own. */
async function connectAll(
  stage: Stage,
  example: Example,
  names: [string, string, string],
): Promise<[Socket, Socket, Socket]> {
  const clients: Socket[] = [];
  for (const _name of names) {
    const client = await stage.connect(example);
    await next(client, "connect");
    clients.push(client);
  }
  return clients as [Socket, Socket, Socket];
}

/** What a page shows: its list, and what others did since. */
async function followTodos(client: Socket): Promise<Map<string, boolean>> {
  const titles = new Map<string, string>();
  const shown = new Map<string, boolean>();
  const keep = ({ id, title, completed }: { id: string; title: string; completed: boolean }) => {
    titles.set(id, title);
    shown.set(title, completed);
  };
  client.on("todo:created", keep).on("todo:updated", keep);
  client.on("todo:deleted", (id: string) => shown.delete(titles.get(id) ?? ""));
  const { data } = await client.emitWithAck("todo:list");
  for (const todo of data) keep(todo);
  return shown;
}

async function join(client: Socket, username: string): Promise<number> {
  client.emit("add user", username);
  const [{ numUsers }] = await next(client, "login");
  return numUsers;
}

interface User {
  userID: string;
  username: string;
  connected: boolean;
  messages: { content: string }[];
}

async function signedIn(connect: (auth: object) => Promise<Socket>, auth: object) {
  const socket = await connect(auth);
  const users = next(socket, "users");
  socket.on("session", ({ sessionID }) => Object.assign(socket.auth, { sessionID }));
  const [{ sessionID, userID }] = await next(socket, "session");
  return { socket, sessionID, userID, users: (await users)[0] as User[] };
}

describe.each([
  ["as it was, on stock Socket.IO", startStock],
  ["on three nodes of Tidegate, one of which is killed midway", startTidegate],
])("an official example %s", (_name, start) => {
  let stage: Stage;

  beforeAll(async () => void (stage = await start()));
  afterAll(() => stage.stop());

  test.concurrent.each(examples)("%s loses nothing", (example) => stories[example](stage));
});
