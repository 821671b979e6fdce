import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { onTestFinished } from "vitest";
import type { WebhookEvent } from "../../src/protocol/webhooks.ts";

/** One request as a backend got it. */
export interface Delivery {
  id: string;
  headers: Record<string, string>;
  body: string;
  type: WebhookEvent;
  data: Record<string, any>;
  /** What the receiver made of it. */
  outcome: "taken" | "failed" | "hung";
}

/** A backend that takes webhooks, as well as it can. */
export interface HookReceiver {
  readonly url: string;
  /** Everything that came, in order. */
  readonly deliveries: readonly Delivery[];
  /** What it took, without repeats, in the order of the first time. */
  taken(type?: WebhookEvent): Delivery[];
  /** From now on. */
  behave(behaviour: Behaviour): void;
}

/** Decides what becomes of a delivery. */
export type Behaviour = (delivery: Omit<Delivery, "outcome">) => Delivery["outcome"];

export async function startHookReceiver(behaviour: Behaviour = () => "taken"): Promise<HookReceiver> {
  const deliveries: Delivery[] = [];
  let behave = behaviour;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const delivery = await read(request);
    const outcome = behave(delivery);
    deliveries.push({ ...delivery, outcome });
    if (outcome === "hung") return;
    response.writeHead(outcome === "taken" ? 204 : 500).end();
  }

  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}/hooks`,
    deliveries,
    taken(type) {
      const first = new Map<string, Delivery>();
      for (const delivery of deliveries) {
        if (delivery.outcome !== "taken" || first.has(delivery.id)) continue;
        if (type === undefined || delivery.type === type) first.set(delivery.id, delivery);
      }
      return [...first.values()];
    },
    behave: (next) => void (behave = next),
  };
}

async function read(request: IncomingMessage): Promise<Omit<Delivery, "outcome">> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString();
  const headers = request.headers as Record<string, string>;
  const { type, data } = JSON.parse(body) as Pick<Delivery, "type" | "data">;
  return { id: headers["webhook-id"] ?? "", headers, body, type, data };
}

/** Fails and hangs for the given shares of what comes. */
export function unreliable(random: () => number, shares: { failed: number; hung: number }): Behaviour {
  return () => {
    const drawn = random();
    if (drawn < shares.hung) return "hung";
    return drawn < shares.hung + shares.failed ? "failed" : "taken";
  };
}
