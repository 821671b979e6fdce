/**
 * A plain Socket.IO server that passes on what a publisher sends: `stock.ts <port> [publications]`. With the word it sends
 * what Tidegate's subscribers get, numbered and dated, instead of the bare payload.
 */
import { createServer } from "node:http";
import { Server } from "socket.io";

const [, , port, form] = process.argv;
const http = createServer();
const io = new Server(http, { serveClient: false });
let offset = 0;

io.on("connection", (socket) => {
  socket.on("subscribe", (_, answer: (reply: object) => void) => {
    void socket.join("bench");
    answer({ ok: true });
  });
  socket.on("publish", (data: unknown) => {
    if (form === undefined) io.to("bench").emit("publication", data);
    else io.to("bench").emit("publication", publicationOf(data), `${Date.now()}000`);
  });
});

function publicationOf(data: unknown): object {
  offset += 1;
  return { channel: "bench:0", epoch: "b2VwY2hfMTIz", offset, event: "tick", data, publishedAt: Date.now() };
}

http.listen(Number(port), "127.0.0.1");
