/**
 * Handles the event `say`: `app.ts <port> stock`, with Socket.IO's own server; `app.ts <port> stock-post <port of an app>`,
 * with one that posts it to an app; `app.ts <port> <handler> <URL of Redis>`, with a gateway: `socket.on` or `gateway.on`.
 */
import { createServer } from "node:http";
import { Server, type Server as SocketIoServer } from "socket.io";
import { createGateway } from "../../src/index.ts";
import { createBarePost } from "../support/bare-post.ts";
import { requestFor } from "../support/forwarded-event.ts";

const [, , port, handler, target = ""] = process.argv;
const server = createServer();

function listen(io: SocketIoServer): void {
  io.on("connection", (socket) => {
    socket.on("say", (data: { text: string }, answer: (reply: object) => void) => answer({ length: data.text.length }));
  });
}

/** What an application would do by itself. */
function forward(io: SocketIoServer, post: ReturnType<typeof createBarePost>): void {
  io.on("connection", (socket) => {
    socket.on("say", async (data: object, answer: (reply: unknown) => void) => {
      const { ack } = (await post(requestFor(data))) as { ack: unknown[] };
      answer(ack[0]);
    });
  });
}

if (handler === "stock") {
  listen(new Server(server, { serveClient: false }));
} else if (handler === "stock-post") {
  forward(new Server(server, { serveClient: false }), createBarePost(Number(target), 1_000));
} else {
  const limits = { messages: { capacity: 1_000_000, refillPerSecond: 1_000_000 } };
  const gateway = await createGateway({ server, redis: target, config: { limits } });
  gateway.hooks.connect(({ connection }) => ({ userId: String(connection?.auth.user) }));
  if (handler === "gateway.on") gateway.on("say", (_context, data: { text: string }) => ({ length: data.text.length }));
  else listen(gateway.io);
}

server.listen(Number(port), "127.0.0.1");
