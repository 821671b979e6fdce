import type { Deliver } from "../channels/subscribers.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { Connection } from "./connection.ts";

/**
 * Writes one publication to many connections: the packet is text once, whatever the number of readers. A subscriber of
 * this node is always a connection (`socket-connection.ts`).
 */
export function createFanOut({ metrics }: { metrics: Pick<Metrics, "deliveries"> }): Deliver {
  return (subscribers, packet) => {
    // The first byte is Engine.IO's packet type, which the transport writes itself.
    const text = packet.toString("utf8", 1);
    for (const subscriber of subscribers) (subscriber as unknown as Connection).send(text);
    metrics.deliveries.inc(subscribers.length);
  };
}
