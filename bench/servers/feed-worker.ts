/**
 * A worker's end of the feed of one hot channel: directly from Redis, or from a relay on the same machine.
 *
 * `node bench/servers/feed-worker.ts direct <redis://…> <channel>`, `… relayed <socket>` or, for the relay itself,
 * `… relay <redis://…> <channel> <socket>`. Prints `ready`; counts messages and answers a line of input with their number.
 */
import { connect, createServer, type Socket } from "node:net";
import { Redis } from "ioredis";

const [, , role, ...words] = process.argv as [string, string, string, ...string[]];
let messages = 0;

const start: Record<string, () => Promise<void>> = {
  direct: ([url, channel] = words) => subscribe(url, channel, () => (messages += 1)),
  relay: async ([url, channel, path] = words) => {
    const relay = createRelay(path as string);
    await subscribe(url, channel, (message) => relay.add(message));
  },
  relayed: ([path] = words) =>
    new Promise((resolve) => {
      const socket = connect(path as string, resolve);
      countFrames(socket);
    }),
};

async function subscribe(url = "", channel = "", onMessage: (message: Buffer) => void): Promise<void> {
  const redis = new Redis(url, { protocol: 2 });
  redis.on("smessageBuffer", (_: Buffer, message: Buffer) => onMessage(message));
  await redis.ssubscribe(channel);
}

/** Writes what came in one turn of the event loop to all workers at once, each message behind its length. */
function createRelay(path: string) {
  const workers = new Set<Socket>();
  createServer((socket) => {
    workers.add(socket);
    socket.on("close", () => workers.delete(socket));
  }).listen(path);
  let parts: Buffer[] = [];
  function flush(): void {
    const bytes = Buffer.concat(parts);
    parts = [];
    for (const worker of workers) worker.write(bytes);
  }
  return {
    add(message: Buffer): void {
      messages += 1;
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32LE(message.length);
      if (parts.push(length, message) === 2) setImmediate(flush);
    },
  };
}

function countFrames(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    while (at + 4 <= bytes.length && at + 4 + bytes.readUInt32LE(at) <= bytes.length) {
      at += 4 + bytes.readUInt32LE(at);
      messages += 1;
    }
    rest = bytes.subarray(at);
  });
}

await start[role]?.();
process.stdin.on("data", () => process.stdout.write(`${messages}\n`));
process.stdout.write("ready\n");
