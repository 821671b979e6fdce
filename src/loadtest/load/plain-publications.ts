import type { ApiRefusal } from "../api.ts";
import { createStockSocket } from "../clients/create-reader.ts";
import { Line } from "../clients/line.ts";
import type { ClientSocket } from "../clients/socket.ts";
import type { Plan } from "../plan.ts";
import { createNumbered } from "./numbered.ts";
import type { Outcome, Work } from "./work.ts";

const patienceMs = 5_000;

/** A plain server knows no keys: a repeat could stand twice, so there is none. */
const unanswered: ApiRefusal = { code: "unanswered", retryAfterMs: 0, isPassing: false };

/** To a plain Socket.IO server: unmodified clients emit `publish`, and the server passes it on. */
export function createPlainPublications(plan: Plan, bytes: number): Work {
  const numbered = createNumbered(plan, bytes);
  const addresses = plan.addresses.map((address) => new URL(address));
  const sockets = Array.from({ length: numbered.lanes }, (_, lane) =>
    createStockSocket(new Line(addresses, lane % addresses.length), plan.path, (give) => give({})),
  );
  for (const socket of sockets) socket.connect();

  return {
    ...numbered,
    mostAtOnce: 1_000,
    send: (items) =>
      Promise.all(items.map(({ lane, body }) => publish(sockets[lane % sockets.length] as ClientSocket, body))),
    stop: () => sockets.forEach((socket) => socket.disconnect()),
  };
}

function publish(socket: ClientSocket, body: object): Promise<Outcome> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(unanswered), patienceMs);
    socket.emit("publish", body, () => {
      clearTimeout(timer);
      resolve("confirmed");
    });
  });
}
