import { isTemporary } from "../../protocol/errors.ts";
import { BackendApi } from "../api.ts";
import type { Plan } from "../plan.ts";
import { createNumbered, type NumberedBody } from "./numbered.ts";
import type { SendOutcome, Workload } from "./workload.ts";

/** Max bytes of one call, below the gateway's limit; each publication adds its names and its key. */
const maxBytes = 512 * 1_024;
const bytesBeside = 256;

interface Results {
  results: ({ ok: true } | { ok: false; error: { code: string; retryAfterMs?: number } })[];
}

/** Publishes over HTTP as a backend does: due publications in one batch, each with an idempotency key for retries. */
export function createGatewayPublications(plan: Plan, bytes: number): Workload {
  const numbered = createNumbered(plan, bytes);
  const apis = Array.from(
    { length: numbered.queues },
    (_, queue) => new BackendApi(plan.addresses, plan.apiKey, queue % plan.addresses.length),
  );

  return {
    ...numbered,
    maxBatchSize: Math.max(Math.min(1_000, Math.floor(maxBytes / (bytes + bytesBeside))), 1),
    async send(items) {
      const publications = items.map(({ channel, number, body }) => ({
        ...(body as NumberedBody),
        idempotencyKey: `${channel}#${number}`,
      }));
      const api = apis[items[0]?.queue ?? 0] as BackendApi;
      const answer = await api.post("/v1/publish/batch", { publications });
      return answer.ok ? outcomesOf(answer.body as Results) : items.map(() => answer);
    },
    stop: () => undefined,
  };
}

function outcomesOf({ results }: Results): SendOutcome[] {
  return results.map((result) => {
    if (result.ok) return "confirmed";
    const { code, retryAfterMs = 0 } = result.error;
    return { code, retryAfterMs, isTemporary: isTemporary(code) };
  });
}
