/**
 * A plain Socket.IO server as `tidegate loadtest --target plain` expects one. All it needs are these two events: `join`
 * puts a client into the room of a channel, and `publish` passes a publication on to everybody in it, as it is; both are
 * acknowledged. With the address of a Redis it is one of several, with Socket.IO's Redis adapter between them; without
 * one it keeps Socket.IO's own connection state recovery.
 *
 * `node bench/servers/plain.ts <port> [redis://…]`
 */
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { Server } from "socket.io";

interface Publication {
  channel: string;
}

const [, , port, redisUrl] = process.argv;
const http = createServer();
const io = new Server(http, {
  serveClient: false,
  ...(redisUrl === undefined ? { connectionStateRecovery: {} } : { adapter: adapterOn(redisUrl) }),
});

io.on("connection", (socket) => {
  socket.on("join", async ({ channel }: { channel: string }, acknowledge: (answer: object) => void) => {
    await socket.join(channel);
    acknowledge({ ok: true });
  });
  socket.on("publish", (publication: Publication, acknowledge: (answer: object) => void) => {
    io.to(publication.channel).emit("publication", publication);
    acknowledge({ ok: true });
  });
});

http.listen(Number(port), "127.0.0.1");

/** Reconnects for ever, as the adapter neither awaits nor catches what it asks of Redis. */
function adapterOn(url: string): ReturnType<typeof createAdapter> {
  const publisher = new Redis(url, { maxRetriesPerRequest: null });
  return createAdapter(publisher, publisher.duplicate());
}
