import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createKeys } from "../../src/redis/keys.ts";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { connectClient, told, type Client } from "../support/gateway.ts";
import type { NodeProcess } from "../support/node-process.ts";
import { within } from "../support/promised.ts";
import { eventually } from "../support/world.ts";

/** An app that was written for Socket.IO: it sets up a socket only if that was not recovered. */
const app = `export default (gateway) => {
  const { io } = gateway;
  io.use((socket, next) => {
    socket.seen = { recovered: socket.recovered, rooms: [...socket.rooms], data: { ...socket.data } };
    next();
  });
  io.on("connection", (socket) => {
    socket.emit("seen", { ...socket.seen, recovered: [socket.seen.recovered, socket.recovered] });
    if (!socket.recovered) {
      void socket.join(["table-7", "chat:7"]);
      socket.data.name = "of " + socket.data.user.userId;
    }
    socket.on("set", (key, value, done) => done((socket.data[key] = value)));
    socket.on("hold", (done) => { socket.data.held = new Map(); done(); });
    socket.on("join", async (room, done) => done(await socket.join(room)));
    socket.on("leave", async (room, done) => done(await socket.leave(room)));
    socket.on("shout", (room, text, done) => done(io.to(room).emit("heard", text)));
    socket.on("move", (from, to) => {
      io.in(from).socketsJoin(to);
      io.in(from).socketsLeave(from);
    });
    socket.on("find", async (room, done) => {
      const found = await io.in(room).fetchSockets();
      done(found.map(({ id, rooms, data }) => ({ id, rooms: [...rooms].sort(), data })));
    });
  });
};
`;

/** What the app saw of a socket before and when it was connected. */
interface Seen {
  recovered: [boolean, boolean];
  rooms: string[];
  data: Record<string, unknown>;
}

const seenOf = (client: Client): Seen => told<Seen>(client, "seen").at(-1)!;
const sorted = (values: readonly unknown[]): string[] => values.map(String).toSorted();
const privateIdOf = (client: Client): string => (client as unknown as { _pid: string })._pid;

describe("a socket of an app on three nodes", () => {
  let cluster: Cluster;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "app-"));
    const file = join(folder, "app.ts");
    writeFileSync(file, app);
    cluster = await startCluster({ env: { APP_FILE: file } });
  }, 120_000);

  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await cluster?.stop();
  });

  const connect = async (userId: string, node: NodeProcess): Promise<Client> =>
    connectClient(node.url, (await cluster.node(0).signIn(userId)).token);

  /** The client has lost its connection, and connects to this node. */
  async function comeBack(client: Client, node: NodeProcess): Promise<void> {
    const times = told(client, "ready").length;
    await eventually(() => expect(client.connected).toBe(false));
    Object.assign(client.io, { uri: node.url });
    // While the node is too busy to renew its lease.
    const refused = (): void => void setTimeout(() => client.connect(), 50);
    client.on("connect_error", refused).connect();
    await eventually(() => expect(told(client, "ready")).toHaveLength(times + 1));
    client.off("connect_error", refused);
  }

  /** What is recorded of the client's socket. */
  const recordedOf = (client: Client): Promise<string | null> =>
    cluster.redis().hget(createKeys(cluster.prefix).recoveryRecord(privateIdOf(client)), "socketState");

  async function expectRestored(client: Client, data: object, by: NodeProcess): Promise<void> {
    const { userId, sessionId } = client.ready as { userId: string; sessionId: string };
    const all = { name: `of ${userId}`, ...data, user: { userId, sessionId, roles: [] } };
    const rooms = sorted(["chat:7", "table-7", `user:${userId}`]);
    expect(client.recovered).toBe(true);
    expect({ ...seenOf(client), rooms: sorted(seenOf(client).rooms) }).toEqual({
      recovered: [true, true],
      rooms,
      data: all,
    });

    const bystander = await connect("bystander", by);
    const found = await bystander.emitWithAck("find", "table-7");
    expect(found).toContainEqual({
      id: client.id,
      rooms: sorted([client.id, ...rooms]),
      data: all,
    });
    await bystander.emitWithAck("shout", "table-7", `to ${userId}`);
    await eventually(() => expect(told(client, "heard")).toContain(`to ${userId}`));
  }

  test("has its rooms and data again after its network was cut, also those that were set last", async () => {
    const [first, second, third] = cluster.nodes as [NodeProcess, NodeProcess, NodeProcess];
    const client = await connect("cut", first);
    await client.emitWithAck("set", "score", 7);

    client.io.engine.close();
    await eventually(async () => expect(await recordedOf(client)).toContain('"score":7'));
    await comeBack(client, second);

    await expectRestored(client, { score: 7 }, third);
    await client.emitWithAck("leave", "table-7");
    await client.emitWithAck("set", "score", 8);
    client.io.engine.close();
    await eventually(async () => expect(await recordedOf(client)).toContain('"score":8'));
    await comeBack(client, first);
    expect(seenOf(client)).toMatchObject({ recovered: [true, true], data: { name: "of cut", score: 8 } });
    expect(sorted(seenOf(client).rooms)).toEqual(["chat:7", "user:cut"]);
  });

  test.each([1, 0])(
    "has them while its previous connection is open still, on another node or the same (%i)",
    async (index) => {
      const node = cluster.node(index);
      let tries = 0;
      // Its node waits for a second for what the other one writes.
      await within(900, async () => {
        const old = await connect(`open-${index}-${(tries += 1)}`, cluster.node(0));
        await old.emitWithAck("set", "score", 7);
        const { token } = old.auth as { token: string };

        const client = await connectClient(node.url, "", { auth: { token, pid: privateIdOf(old), offset: "0" } });

        await eventually(() => expect(old.connected).toBe(false));
        expect(seenOf(client)).toMatchObject({ recovered: [true, true], data: { score: 7 } });
        await client.emitWithAck("shout", "table-7", "again");
        await eventually(() => expect(told(client, "heard")).toContain("again"));
      });
    },
  );

  test("is set up anew by its app if its data cannot be recorded, and its channels are recovered all the same", async () => {
    const [first, second] = cluster.nodes as [NodeProcess, NodeProcess];
    const client = await connect("holder", first);
    await client.emitWithAck("hold");
    client.io.engine.close();
    await eventually(async () => expect(await recordedOf(client)).toBe("unstorable"));
    await second.call("POST", "/v1/publish", { channel: "chat:7", event: "said", data: "missed" });

    await comeBack(client, second);

    expect([client.recovered, client.ready["recovered"]]).toEqual([true, true]);
    expect(seenOf(client)).toMatchObject({ recovered: [false, false] });
    expect(Object.keys(seenOf(client).data)).toEqual(["user"]);
    expect(sorted(seenOf(client).rooms)).toEqual(["chat:7", "user:holder"]);
    expect(told(client, "publication").map(({ data }) => data)).toContain("missed");
    await client.emitWithAck("shout", "table-7", "set up");
    await eventually(() => expect(told(client, "heard")).toContain("set up"));
    expect(first.log()).toContain("data.held is not JSON: Map");
  });

  test("gives nothing to another user who presents its secret id", async () => {
    const [first, second] = cluster.nodes as [NodeProcess, NodeProcess];
    const client = await connect("victim", first);
    const { token } = await first.signIn("eve");
    const pid = privateIdOf(client);

    const eve = await connectClient(second.url, "", { auth: { token, pid, offset: "0" } });

    const user = expect.objectContaining({ userId: "eve" }) as object;
    expect(seenOf(eve)).toEqual({ recovered: [false, false], rooms: [], data: { user } });
    expect(eve.id).not.toBe(client.id);
    client.io.engine.close();
    await comeBack(client, second);
    await expectRestored(client, {}, first);
  });

  test("has them again after its node was drained", async () => {
    const [first, second, third] = cluster.nodes as [NodeProcess, NodeProcess, NodeProcess];
    const client = await connect("drained", third);
    await client.emitWithAck("set", "score", [1, 2]);

    await third.stop();
    await eventually(async () => expect(await recordedOf(client)).toContain("[1,2]"));
    await comeBack(client, second);

    await expectRestored(client, { score: [1, 2] }, first);
  });

  test("has them again after its node was killed, as they were last recorded", async () => {
    const [first, second] = cluster.nodes as [NodeProcess, NodeProcess];
    const client = await connect("killed", second);
    await client.emitWithAck("set", "score", 1);
    await client.emitWithAck("join", "moving");
    const mover = await connect("mover", first);
    mover.emit("move", "moving", "moved");
    await eventually(async () => {
      expect(JSON.parse((await recordedOf(client)) ?? "{}")).toEqual({
        rooms: expect.arrayContaining(["table-7", "moved"]) as string[],
        data: { name: "of killed", score: 1 },
      });
    });
    expect(await recordedOf(client)).not.toContain("moving");

    await second.kill();
    await comeBack(client, first);

    expect(seenOf(client)).toMatchObject({ recovered: [true, true], data: { name: "of killed", score: 1 } });
    expect(sorted(seenOf(client).rooms)).toEqual(["chat:7", "moved", "table-7", "user:killed"]);
    await mover.emitWithAck("shout", "moved", "still there");
    await eventually(() => expect(told(client, "heard")).toContain("still there"));
  });
});
