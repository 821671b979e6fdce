import { createServer } from "node:http";
import { join } from "node:path";
import express from "express";
import { Server } from "socket.io";

const app = express();
const server = createServer(app);
const io = new Server(server);

app.get("/", (_req, res) => res.sendFile(join(import.meta.dirname, "index.stock.html")));

io.on("connection", (socket) => {
  socket.on("drawing", (line: object) => socket.broadcast.emit("drawing", line));
});

server.listen(Number(process.env.PORT ?? 3000));
