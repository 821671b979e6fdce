import { createServer } from "node:http";
import { join } from "node:path";
import express from "express";
import { createGateway } from "tidegate";

const app = express();
const server = createServer(app);
const gateway = await createGateway({ server, env: process.env, channels: { chat: { deliver: "event" } } });
const { io } = gateway;
gateway.hooks.connect(({ connection }) => ({ userId: String(connection?.auth.guest) }));

app.get("/", (_req, res) => res.sendFile(join(import.meta.dirname, "index.html")));

const countUsers = async (): Promise<number> =>
  (await io.fetchSockets()).filter(({ data }) => data.username !== undefined).length;

io.on("connection", (socket) => {
  socket.on("new message", (message: string) => {
    socket.to("chat:lobby").emit("new message", { username: socket.data.username, message });
  });

  socket.on("add user", async (username: string) => {
    if (socket.data.username !== undefined) return;
    socket.data.username = username;
    await socket.join("chat:lobby");
    const numUsers = await countUsers();
    socket.emit("login", { numUsers });
    socket.broadcast.emit("user joined", { username, numUsers });
  });

  socket.on("typing", () => {
    socket.broadcast.emit("typing", { username: socket.data.username });
  });

  socket.on("stop typing", () => {
    socket.broadcast.emit("stop typing", { username: socket.data.username });
  });

  socket.on("disconnect", async () => {
    const { username } = socket.data;
    if (username !== undefined) socket.broadcast.emit("user left", { username, numUsers: await countUsers() });
  });
});

server.listen(Number(process.env.PORT ?? 3000));
