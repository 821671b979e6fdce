import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster } from "../support/cluster.ts";
import { pause } from "../support/faults.ts";
import { connectClient, type Client } from "../support/gateway.ts";
import { eventually } from "../support/world.ts";

/** An app that does what a client asks for with `gateway.io`, on the node of that client. */
const app = `export default (gateway) => {
  const { io } = gateway;
  const inRoom = (room) => (room === null ? io : io.in(room));
  const failed = ({ message, responses }) => ({ failed: message, responses });
  io.on("where", (done) => done(process.pid));
  const actions = {
    emit: (room, ...args) => void inRoom(room).emit(...args),
    emitWithAck: (room, ms, ...args) => inRoom(room).timeout(ms).emitWithAck(...args).catch(failed),
    fetchSockets: async (room) =>
      inRoom(room).fetchSockets().then((all) => all.map(({ id, data, rooms, handshake }) => ({
        id, userId: data.user?.userId, rooms: [...rooms], handshake: JSON.stringify(handshake),
      })), failed),
    socketsJoin: (room, rooms) => void inRoom(room).socketsJoin(rooms),
    socketsLeave: (room, rooms) => void inRoom(room).socketsLeave(rooms),
    disconnectSockets: (room) => void inRoom(room).disconnectSockets(true),
    serverSideEmit: () => new Promise((resolve) =>
      io.serverSideEmit("where", (error, pids) => resolve(error ? failed({ message: error.message, responses: pids }) : pids))),
    request: (userId, request) => gateway.users.request(userId, request),
  };
  gateway.on("do", (_context, action, ...args) => actions[action](...args));
  io.on("connection", (socket) => socket.on("join", async (room, done) => done(await socket.join(room))));
};
`;

const sorted = (values: readonly unknown[]): string[] => values.map(String).toSorted();

type Acknowledge = (...answer: unknown[]) => void;

describe("gateway.io on three nodes", () => {
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

  /** A client of a user on each node. */
  const onEachNode = (userId: string): Promise<Client[]> =>
    Promise.all(
      cluster.nodes.map(async (node) => connectClient(node.url, (await node.signIn(`${userId}-${node.nodeId}`)).token)),
    );
  const act = (client: Client, action: string, ...args: unknown[]) => client.emitWithAck("do", action, ...args);
  const eventsOf = (client: Client, event: string) => client.events.filter(([name]) => name === event);

  test.each(["voters", 17])("emitWithAck asks the clients of the room %s on all nodes", async (room) => {
    const clients = await onEachNode("ask");
    const [first] = clients as [Client];
    for (const [index, client] of clients.entries()) {
      client.on("vote", (add: number, done: Acknowledge) => done(index + add));
      await client.emitWithAck("join", room);
    }

    expect(sorted(await act(first, "emitWithAck", room, 20_000, "vote", 10))).toEqual(["10", "11", "12"]);
  });

  test("fetchSockets finds sockets on all nodes, with their users and without their credentials", async () => {
    const clients = await onEachNode("fetch");
    for (const client of clients) await client.emitWithAck("join", "found");

    // A node that is busy for two seconds makes it fail, but never leave out sockets.
    const found: any[] = await eventually(async () => {
      const answer = await act(clients[0] as Client, "fetchSockets", "found");
      expect(answer).not.toHaveProperty("failed");
      return answer;
    });

    expect(sorted(found.map(({ id }) => id))).toEqual(sorted(clients.map(({ id }) => id)));
    expect(sorted(found.map(({ userId }) => userId))).toEqual(["fetch-node-1", "fetch-node-2", "fetch-node-3"]);
    expect(JSON.stringify(found)).not.toContain("eyJ");
  });

  test("socketsJoin and socketsLeave of a channel subscribe and unsubscribe, with order and history", async () => {
    const clients = await onEachNode("join");
    const [first, ...others] = clients as [Client, ...Client[]];
    for (const client of clients) await client.emitWithAck("join", "crowd");

    await act(first, "socketsJoin", "crowd", ["chat:crowd", "plain"]);
    await eventually(async () => {
      const { connections } = (await cluster.node(2).call("GET", `/v1/users/join-node-3/connections`)).body;
      expect(connections[0].channels).toContain("chat:crowd");
      await act(first, "emit", "chat:crowd", "said", 1);
      for (const client of clients) expect(eventsOf(client, "publication").length).toBeGreaterThan(0);
    });
    for (const client of clients) {
      const offsets = eventsOf(client, "publication").map(([, { offset }]: any) => offset);
      expect(offsets).toEqual(offsets.toSorted((a: number, b: number) => a - b));
    }

    await act(first, "socketsLeave", "crowd", "chat:crowd");
    for (const name of ["join-node-2", "join-node-3"])
      await eventually(async () => {
        const { connections } = (await cluster.node(1).call("GET", `/v1/users/${name}/connections`)).body;
        expect(connections[0].channels).not.toContain("chat:crowd");
      });
    const { offset } = (
      await cluster.node(0).call("POST", "/v1/publish", { channel: "chat:crowd", event: "x", data: 1 })
    ).body;
    for (const client of others)
      expect(eventsOf(client, "publication").map(([, told]: any) => told.offset)).not.toContain(offset);
  });

  test("disconnectSockets disconnects on all nodes", async () => {
    const clients = await onEachNode("out");
    const [actor] = await onEachNode("actor");
    for (const client of clients) await client.emitWithAck("join", "leaving");

    await act(actor as Client, "disconnectSockets", "leaving");

    await eventually(() => expect(clients.map(({ connected }) => connected)).toEqual([false, false, false]));
    expect(actor?.connected).toBe(true);
  });

  test("serverSideEmit reaches the other nodes, which acknowledge", async () => {
    const [first] = (await onEachNode("inner")) as [Client];
    const pids = cluster.nodes.slice(1).map(({ pid }) => pid);

    await eventually(async () => expect(sorted(await act(first, "serverSideEmit"))).toEqual(sorted(pids)));
  });

  test("a frozen node is named or counted as missing, and asks nobody afterwards", async () => {
    const clients = await onEachNode("ice");
    const tokens = await Promise.all(cluster.nodes.map((node) => node.signIn("iced").then(({ token }) => token)));
    const iced = await Promise.all(cluster.nodes.map((node, index) => connectClient(node.url, tokens[index] ?? "")));
    for (const client of [...clients, ...iced]) {
      for (const event of ["vote", "ballot", "later"]) client.on(event, (done: Acknowledge) => done(client.id));
      await client.emitWithAck("join", "cold");
    }
    const [first] = clients as [Client];
    const frozen = cluster.node(2);

    frozen.freeze();
    const [request, voted, found] = await Promise.all([
      act(first, "request", "iced", { event: "ballot", timeoutMs: 3_000 }),
      act(first, "emitWithAck", "cold", 3_000, "vote"),
      act(first, "fetchSockets", "cold"),
    ]);
    // The request has ended by the frozen node's clock too.
    await pause(500);
    frozen.thaw();

    expect(request).toMatchObject({ nodes: 3, acknowledged: 2, silent: [] });
    expect(sorted(request.answers.map(({ args: [id] }: any) => id))).toEqual(sorted([iced[0]?.id, iced[1]?.id]));
    expect(voted.responses).toHaveLength(4);
    expect(found).toMatchObject({ failed: expect.stringContaining("timeout") });
    await eventually(async () =>
      expect((await act(first, "request", "iced", { event: "later" })).acknowledged).toBe(3),
    );
    expect(eventsOf(iced[2] as Client, "ballot")).toEqual([]);
  });

  test("a killed node is missed until its lease ends, and its clients are found on others", async () => {
    const [actor, , leaving] = (await onEachNode("kill")) as [Client, Client, Client];
    const { token } = await cluster.node(2).signIn("moved");
    await connectClient(cluster.node(2).url, token);

    await cluster.node(2).kill();
    const moved = await connectClient(cluster.node(1).url, token);
    moved.on("vote", (done: Acknowledge) => done("here"));

    const partial = await act(actor, "request", "moved", { event: "vote", timeoutMs: 4_000 });
    expect(partial.answers).toEqual([{ connectionId: moved.id, args: ["here"] }]);
    await eventually(() => expect(leaving.connected).toBe(false));
    await eventually(async () =>
      expect(await act(actor, "request", "moved", { event: "vote", timeoutMs: 1_500 })).toMatchObject({
        nodes: 2,
        acknowledged: 2,
      }),
    );
    await moved.emitWithAck("join", "left");
    await eventually(async () => expect(await act(actor, "fetchSockets", "left")).toHaveLength(1));
  });
});
