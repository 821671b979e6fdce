import { systemClock } from "../../src/runtime/clock.ts";
import { createLogger } from "../../src/runtime/logger.ts";
import { createHttpServer } from "../../src/http/http-server.ts";
import { createReadiness } from "../../src/http/readiness.ts";
import { createOrderRoutes } from "../../src/http/routes/orders.ts";
import { createPublishingNode } from "./publishing-node.ts";

/** A node in a process of its own, to be killed: `node publishing-process.ts <url> <prefix> <name> <api key>`. */
const [, , url, prefix, nodeId, secret] = process.argv as [string, string, string, string, string, string];

/** `TEST_STREAM_PARTITIONS` of the test that kills it. */
const partitions = Number(process.env.TEST_STREAM_PARTITIONS ?? 3);

const node = await createPublishingNode({
  url,
  prefix,
  nodeId,
  // Longer than the longest run: what a window does when it ends is tried elsewhere.
  orders: { reorderWindowMs: 3_600_000 },
  stream: { leaseMs: 1_000, partitions },
});
const http = createHttpServer(
  {
    routes: createOrderRoutes(node),
    apiKeys: [{ name: "test", secret }],
    readiness: createReadiness({ checks: {}, clock: systemClock }),
    metrics: node.metrics,
    log: createLogger({ level: "silent" }),
    clock: systemClock,
  },
  { host: "127.0.0.1", port: 0, version: "0.0.0" },
);
await http.start();
node.consumer.start();
console.log(`http://127.0.0.1:${http.port}`);
