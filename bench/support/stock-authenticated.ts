import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import jsonwebtoken from "jsonwebtoken";
import { inSlices, startRedis, startServer, tokenSecret, type MeasuredServer } from "./measured-servers.ts";

/** Stock Socket.IO with hand-written authentication, and a Redis of its own. */
export interface StockAuthenticated extends MeasuredServer {
  redisPid: number;
  /** Creates a session for each of `count` users; resolves to their tokens. */
  signIn(count: number): Promise<string[]>;
}

const program = fileURLToPath(new URL("../servers/stock-authenticated.ts", import.meta.url));

export async function startStockAuthenticated(): Promise<StockAuthenticated> {
  const redis = await startRedis();
  const words = [process.execPath, program, "PORT", `${redis.port}`, tokenSecret];
  const server = await startServer("stock, with token, session and Redis adapter", words);
  const sessions = new Redis(redis.port);
  return {
    ...server,
    redisPid: redis.pid,
    signIn: (count) => inSlices(count, 50, (index) => loggedIn(sessions, `user-${index}`)),
    async stop() {
      sessions.disconnect();
      await server.stop();
      await redis.stop();
    },
  };
}

async function loggedIn(sessions: Redis, userId: string): Promise<string> {
  const sid = `session-of-${userId}`;
  await sessions.hset(`session:${sid}`, { userId, createdAt: Date.now() });
  return jsonwebtoken.sign({ sub: userId, sid, jti: `token-of-${userId}` }, tokenSecret, { expiresIn: 900 });
}
