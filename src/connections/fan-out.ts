import type { Deliver } from "../channels/subscribers.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { Frame } from "../engine/frames.ts";
import type { SocketConnection } from "./socket-connection.ts";

/**
 * Delivers one publication to many connections: all share one frame, which is added to each one's batch of this tick. A
 * subscriber of this node is always a connection.
 */
export function createFanOut({ metrics }: { metrics: Pick<Metrics, "deliveries"> }): Deliver {
  return (subscribers, packet, manner) => {
    const frame = Frame.text(packet, manner);
    for (const subscriber of subscribers as readonly SocketConnection[]) subscriber.deliver(frame);
    metrics.deliveries.inc(subscribers.length);
  };
}
