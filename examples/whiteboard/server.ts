import { createServer } from "node:http";
import { join } from "node:path";
import express from "express";
import { createGateway } from "tidegate";

const app = express();
const server = createServer(app);
const gateway = await createGateway({ server, env: process.env, channels: { board: { deliver: "event" } } });
const { io } = gateway;
gateway.hooks.connect(({ connection }) => ({ userId: String(connection?.auth.guest) }));

app.get("/", (_req, res) => res.sendFile(join(import.meta.dirname, "index.html")));

io.on("connection", (socket) => {
  void socket.join("board:main");
  socket.on("drawing", (line: object) => socket.to("board:main").emit("drawing", line));
});

server.listen(Number(process.env.PORT ?? 3000));
