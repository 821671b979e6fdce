/** Bare `ws`: what comes in from the publisher is sent to every reader in a loop. `ws.ts <port>` */
import { WebSocketServer, type WebSocket } from "ws";

const readers = new Set<WebSocket>();
const server = new WebSocketServer({ port: Number(process.argv[2]), host: "127.0.0.1", perMessageDeflate: false });

server.on("connection", (socket, { url }) => {
  if (url !== "/pub") {
    readers.add(socket);
    socket.on("close", () => readers.delete(socket));
    return;
  }
  socket.on("message", (data) => {
    for (const reader of readers) reader.send(data, { binary: false });
  });
});
