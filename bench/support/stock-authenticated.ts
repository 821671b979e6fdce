import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import jsonwebtoken from "jsonwebtoken";
import { inSlices, startRedis, startSubject, tokenSecret, type Subject } from "./subjects.ts";

/** Stock Socket.IO with what an application adds that lets in nobody but its users, and a Redis of its own. */
export interface StockAuthenticated extends Subject {
  redisPid: number;
  /** Tokens of so many users, each with a session of its own. */
  signIn(count: number): Promise<string[]>;
}

const program = fileURLToPath(new URL("../servers/stock-authenticated.ts", import.meta.url));

export async function startStockAuthenticated(): Promise<StockAuthenticated> {
  const redis = await startRedis();
  const words = [process.execPath, program, "PORT", `${redis.port}`, tokenSecret];
  const subject = await startSubject("stock, with token, session and Redis adapter", words);
  const sessions = new Redis(redis.port);
  return {
    ...subject,
    redisPid: redis.pid,
    signIn: (count) => inSlices(count, 50, (index) => loggedIn(sessions, `user-${index}`)),
    async stop() {
      sessions.disconnect();
      await subject.stop();
      await redis.stop();
    },
  };
}

async function loggedIn(sessions: Redis, userId: string): Promise<string> {
  const sid = `session-of-${userId}`;
  await sessions.hset(`session:${sid}`, { userId, createdAt: Date.now() });
  return jsonwebtoken.sign({ sub: userId, sid, jti: `token-of-${userId}` }, tokenSecret, { expiresIn: 900 });
}
