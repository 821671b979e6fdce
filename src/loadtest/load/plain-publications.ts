import type { ApiFailure } from "../api.ts";
import { createStockSocket } from "../clients/create-reader.ts";
import { Dialer } from "../clients/dialer.ts";
import type { ClientSocket } from "../clients/socket.ts";
import type { Plan } from "../plan.ts";
import { createNumbered } from "./numbered.ts";
import type { SendOutcome, Workload } from "./workload.ts";

const timeoutMs = 5_000;

/** A plain server has no idempotency keys: a retry could publish twice, so there are none. */
const unanswered: ApiFailure = { code: "unanswered", retryAfterMs: 0, isTemporary: false };

/** Publishes to a plain Socket.IO server: unmodified clients emit `publish`, and the server forwards it. */
export function createPlainPublications(plan: Plan, bytes: number): Workload {
  const numbered = createNumbered(plan, bytes);
  const addresses = plan.addresses.map((address) => new URL(address));
  const sockets = Array.from({ length: numbered.queues }, (_, queue) =>
    createStockSocket(new Dialer(addresses, queue % addresses.length), plan.path, (give) => give({})),
  );
  for (const socket of sockets) socket.connect();

  return {
    ...numbered,
    maxBatchSize: 1_000,
    send: (items) =>
      Promise.all(items.map(({ queue, body }) => publish(sockets[queue % sockets.length] as ClientSocket, body))),
    stop: () => sockets.forEach((socket) => socket.disconnect()),
  };
}

function publish(socket: ClientSocket, body: object): Promise<SendOutcome> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(unanswered), timeoutMs);
    socket.emit("publish", body, () => {
      clearTimeout(timer);
      resolve("confirmed");
    });
  });
}
