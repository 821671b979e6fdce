import { createServer } from "node:http";
import { join } from "node:path";
import express from "express";
import { createGateway } from "tidegate";
import { messages, sessions } from "./tables.ts";

const app = express();
const server = createServer(app);
const gateway = await createGateway({ server, env: process.env, channels: { private: { deliver: "event" } } });
const { io } = gateway;
gateway.hooks.connect(({ connection }) => ({ userId: String(connection?.auth.guest) }));

app.get("/", (_req, res) => res.sendFile(join(import.meta.dirname, "index.html")));

const roomOf = (userID: string): string => `private:${userID}`;

io.use(async (socket, next) => {
  const { sessionID, username } = socket.handshake.auth;
  const session = await sessions.get(String(sessionID));
  if (!session && !username) return next(new Error("invalid username"));
  Object.assign(socket.data, session ?? { sessionID: crypto.randomUUID(), userID: crypto.randomUUID(), username });
  next();
});

io.on("connection", async (socket) => {
  const { sessionID, userID, username } = socket.data;

  socket.on("private message", async ({ content, to }: { content: string; to: string }) => {
    const message = { content, from: userID, to };
    socket.to(roomOf(to)).to(roomOf(userID)).emit("private message", message);
    await messages.set(crypto.randomUUID(), message);
  });

  socket.on("disconnect", async () => {
    const others = await io.in(roomOf(userID)).fetchSockets();
    if (others.length > 0) return;
    socket.broadcast.emit("user disconnected", userID);
    await sessions.set(sessionID, { sessionID, userID, username, connected: false });
  });

  await sessions.set(sessionID, { sessionID, userID, username, connected: true });
  await socket.join(roomOf(userID));
  socket.emit("session", { sessionID, userID });
  const isOwn = ({ from, to }: { from: string; to: string }): boolean => from === userID || to === userID;
  const own = (await messages.all()).filter(isOwn);
  const users = (await sessions.all()).map(({ userID, username, connected }) => ({
    userID,
    username,
    connected,
    messages: own.filter(({ from, to }) => from === userID || to === userID),
  }));
  socket.emit("users", users);
  socket.broadcast.emit("user connected", { userID, username, connected: true, messages: [] });
});

server.listen(Number(process.env.PORT ?? 3000));
