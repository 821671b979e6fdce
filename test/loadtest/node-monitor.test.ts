import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { NodeMonitor } from "../../src/loadtest/run/node-monitor.ts";

const text = `# HELP process_cpu_seconds_total CPU.
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total{node_id="n-1"} 1.5
process_cpu_seconds_total{node_id="n-2"} 2.5
# HELP gateway_connections Open client connections.
# TYPE gateway_connections gauge
gateway_connections{transport="polling",node_id="n-1"} 3
gateway_connections{transport="websocket",node_id="n-1"} 4
gateway_connections{transport="websocket",node_id="n-2"} 5
`;

test("nodes whose metrics are served together are sampled separately", async () => {
  const server = createServer((_, response) => response.end(text)).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const watch = new NodeMonitor({ metrics: [`http://127.0.0.1:${port}`], pids: [] });

  await watch.sample();

  expect(watch.nodes).toMatchObject([
    { name: "n-1", samples: [{ cpuSeconds: 1.5, connections: 7 }] },
    { name: "n-2", samples: [{ cpuSeconds: 2.5, connections: 5 }] },
  ]);
});
