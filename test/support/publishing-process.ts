import { createPublishingNode } from "./publishing-node.ts";

/** A node in a process of its own, to be killed: `node publishing-process.ts <url> <prefix> <name>`. */
const [, , url, prefix, nodeId] = process.argv as [string, string, string, string, string];

const node = await createPublishingNode({
  url,
  prefix,
  nodeId,
  orders: { reorderWindowMs: 60_000 },
  stream: { leaseMs: 1_000 },
});
node.consumer.start();
process.on("SIGTERM", () => void node.close());
// Timers of the rooms do not keep a process alive.
setInterval(() => undefined, 60_000);
console.log("ready");
