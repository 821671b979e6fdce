/**
 * A plain Socket.IO server with the Redis adapter, one of several: `stock-cluster.ts <port> <redis port>`. Clients join the
 * room of the user they name; a POST to `/disconnect/<user>` closes that user's sockets on every server.
 */
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { Server } from "socket.io";

const [, , port, redisPort] = process.argv;
const publisher = new Redis(Number(redisPort));
const http = createServer((request, response) => {
  const user = /^\/disconnect\/(.+)$/.exec(request.url ?? "")?.[1];
  if (user !== undefined) io.in(user).disconnectSockets(true);
  response.end();
});
const io = new Server(http, { serveClient: false, adapter: createAdapter(publisher, publisher.duplicate()) });
io.on("connection", (socket) => void socket.join(String(socket.handshake.auth.user)));
http.listen(Number(port), "127.0.0.1");
