/**
 * Stock Socket.IO as an application makes it safe by hand: a token that is verified, a session that is looked up in Redis,
 * a room for the user, and the Redis adapter between servers. `stock-authenticated.ts <port> <port of Redis> <secret>`
 */
import { createSecretKey } from "node:crypto";
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import jsonwebtoken from "jsonwebtoken";
import { Server, type Socket } from "socket.io";

interface Claims {
  sub: string;
  sid: string;
}

const [, , port, redisPort, secret = ""] = process.argv;
const redis = new Redis(Number(redisPort));
const key = createSecretKey(secret, "utf8");
const http = createServer();
const io = new Server(http, { serveClient: false, adapter: createAdapter(redis, redis.duplicate()) });

async function authenticate(socket: Socket): Promise<void> {
  const { token } = socket.handshake.auth as { token: string };
  const { sub, sid } = jsonwebtoken.verify(token, key, { algorithms: ["HS256"] }) as unknown as Claims;
  const session = await redis.hgetall(`session:${sid}`);
  if (session.userId !== sub) throw new Error("unauthorized");
  Object.assign(socket.data, { userId: sub });
}

async function answer(socket: Socket, next: (error?: Error) => void): Promise<void> {
  let refusal: Error | undefined;
  try {
    await authenticate(socket);
  } catch (error) {
    refusal = error as Error;
  }
  next(refusal);
}

io.use((socket, next) => void answer(socket, next));

io.on("connection", (socket) => {
  const { userId } = socket.data as { userId: string };
  void socket.join(`user:${userId}`);
  socket.emit("ready", { userId, serverTime: Date.now() });
});

http.listen(Number(port), "127.0.0.1");
