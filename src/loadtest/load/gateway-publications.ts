import { BackendApi } from "../api.ts";
import type { Plan } from "../plan.ts";
import { createNumbered, type NumberedBody } from "./numbered.ts";
import type { Outcome, Work } from "./work.ts";

/** Most bytes of one call, below what a gateway takes; each publication brings its own names and key. */
const mostBytes = 512 * 1_024;
const bytesBeside = 256;

interface Results {
  results: ({ ok: true } | { ok: false; error: { code: string; retryAfterMs?: number } })[];
}

/** Over HTTP, as a backend: what is due at the same time travels together, each with a key that makes repeats harmless. */
export function createGatewayPublications(plan: Plan, bytes: number): Work {
  const numbered = createNumbered(plan, bytes);
  const doors = Array.from(
    { length: numbered.lanes },
    (_, lane) => new BackendApi(plan.addresses, plan.apiKey, lane % plan.addresses.length),
  );

  return {
    ...numbered,
    mostAtOnce: Math.max(Math.min(1_000, Math.floor(mostBytes / (bytes + bytesBeside))), 1),
    async send(items) {
      const publications = items.map(({ channel, number, body }) => ({
        ...(body as NumberedBody),
        idempotencyKey: `${channel}#${number}`,
      }));
      const door = doors[items[0]?.lane ?? 0] as BackendApi;
      const answer = await door.post("/v1/publish/batch", { publications });
      return answer.ok ? outcomesOf(answer.body as Results) : items.map(() => answer);
    },
    stop: () => undefined,
  };
}

/** What was refused one by one may pass later, unless it is the fault of what was asked. */
const passing: ReadonlySet<string> = new Set(["rate_limited", "unavailable", "internal", "draining"]);

function outcomesOf({ results }: Results): Outcome[] {
  return results.map((result) => {
    if (result.ok) return "confirmed";
    const { code, retryAfterMs = 0 } = result.error;
    return { code, retryAfterMs, isPassing: passing.has(code) };
  });
}
