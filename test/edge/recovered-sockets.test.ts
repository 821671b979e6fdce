import { expect, test } from "vitest";
import type { RestoredSubscriptions } from "../../src/channels/subscription.ts";
import type { RecoveryAdapterDeps } from "../../src/connections/recovery-adapter.ts";
import { connected, deferred, goodToken, once, startEdge, stockClient } from "../support/edge.ts";
import { settled } from "../support/fake-clock.ts";

const holder = { socketId: "ada-1", userId: "ann", sessionId: "session-1", timestamp: 1 };
const nothingMissed = { positions: new Map(), packets: () => [], release: () => undefined };

/** Every client is recovered as the same socket, which was in a room. */
const recovery: RecoveryAdapterDeps["recovery"] = {
  windowMs: 60_000,
  find: async (privateId) => ({
    privateId,
    timestamp: 1,
    record: { holder, starts: new Map(), asOf: "", takes: 0 },
  }),
  restore: async () => nothingMissed as unknown as RestoredSubscriptions,
  abandon: () => undefined,
  roomsChanged: () => undefined,
  socketStateOf: () => '{"rooms":["table-7"],"data":{"name":"Ada"}}',
};

async function startRecoveringEdge() {
  const { sockets, url } = await startEdge({ recovery });
  const events: string[] = [];
  sockets.io.on("connection", (socket) => {
    events.push("connection");
    socket.on("disconnect", () => events.push("disconnect"));
  });
  const comeBack = () =>
    stockClient(url, { auth: { token: goodToken, pid: "secret", offset: "1" }, transports: ["websocket"] });
  /** Whether the client's socket is in its room, and among those that `io.emit` reaches. */
  const expectThere = async (client: ReturnType<typeof stockClient>): Promise<void> => {
    const heard = once(client, "heard");
    sockets.io.to("table-7").emit("heard", 1);
    expect(await heard).toBe(1);
    expect([...sockets.io.sockets.sockets.keys()]).toEqual(["ada-1"]);
  };
  return { io: sockets.io, events, comeBack, expectThere };
}

test("a recovered socket takes the place of the one before, which its node still had, and keeps its rooms", async () => {
  const { events, comeBack, expectThere } = await startRecoveringEdge();
  const first = await connected(comeBack());
  const left = once(first, "disconnect");

  const second = await connected(comeBack());
  await left;

  expect(events).toEqual(["connection", "disconnect", "connection"]);
  await expectThere(second);
});

test("a client that left while its app decided about it takes nothing from the socket that followed", async () => {
  const { io, events, comeBack, expectThere } = await startRecoveringEdge();
  const entered = deferred<() => void>();
  let count = 0;
  io.use((_socket, next) => {
    count += 1;
    if (count > 1) next();
    else entered.resolve(() => next());
  });
  const first = comeBack();
  const allowFirst = await entered.promise;

  first.disconnect();
  const second = await connected(comeBack());
  allowFirst();
  await settled();

  await expectThere(second);
  expect(events).toEqual(["connection"]);
});

test("a recovered socket has its rooms and data in middleware of the app", async () => {
  const { io, comeBack } = await startRecoveringEdge();
  const seen: unknown[] = [];
  io.use(({ recovered, rooms, data }, next) => {
    seen.push({ recovered, rooms: [...rooms], data: { ...(data as object) } });
    next();
  });

  await connected(comeBack());

  expect(seen).toEqual([{ recovered: true, rooms: ["table-7"], data: { name: "Ada" } }]);
});
