/**
 * A plain Socket.IO server as `tidegate loadtest --target plain` expects one. All it needs are these two events: `join`
 * puts a client into the room of a channel, and `publish` passes a publication on to everybody in it, as it is; both are
 * acknowledged. With the address of a Redis it is one of several, with Socket.IO's Redis adapter between them; without
 * one it keeps Socket.IO's own connection state recovery. Over HTTP it answers how many messages Redis has sent it.
 *
 * `node bench/servers/plain.ts <port> [redis://…] [classic|sharded]`
 */
import { createServer } from "node:http";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { Server, type ServerOptions } from "socket.io";

interface Publication {
  channel: string;
}

const [, , port, redisUrl, adapterName] = process.argv;
let heard = 0;
const http = createServer((_, response) => response.end(`${heard}`));
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
function adapterOn(url: string): ServerOptions["adapter"] {
  const publisher = new Redis(url, { maxRetriesPerRequest: null });
  const subscriber = publisher.duplicate();
  for (const event of ["pmessageBuffer", "smessageBuffer"]) subscriber.on(event, () => (heard += 1));
  return adapterName === "sharded" ? createShardedAdapter(publisher, subscriber) : createAdapter(publisher, subscriber);
}
