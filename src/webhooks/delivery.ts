import type { Clock } from "../runtime/clock.ts";
import type { Spans } from "../runtime/spans.ts";
import type { WebhookEndpoint } from "./endpoints.ts";
import type { WebhookMessage } from "./delivery-queue-store.ts";
import { sign } from "./signature.ts";

/** Why an attempt failed, for operators; undefined if the receiver accepted the message. */
export type DeliveryFailure = string | undefined;

export interface DeliveryDeps {
  clock: Clock;
  /** Version of the gateway, for the receiver's logs. */
  version: string;
  /** Omit for no spans. */
  spans?: Spans | undefined;
}

/** Sends one message once. Never throws; takes at most the endpoint's `timeoutMs`. `ended` aborts when the node stops. */
export type DeliverWebhook = (
  endpoint: WebhookEndpoint,
  message: WebhookMessage,
  ended: AbortSignal,
) => Promise<DeliveryFailure>;

/** Max bytes of a response that are read, so that the connection can be reused; they are discarded. */
const maxResponseBytes = 65_536;

export function createDelivery({ clock, version, spans }: DeliveryDeps): DeliverWebhook {
  const send: DeliverWebhook = async (endpoint, message, ended) => {
    const signal = AbortSignal.any([ended, AbortSignal.timeout(endpoint.timeoutMs)]);
    try {
      const traceparent = spans?.traceparent() ?? message.traceparent;
      const own = headersOf(endpoint, message, Math.floor(clock.now() / 1_000), version);
      const headers = traceparent === undefined ? own : { ...own, traceparent };
      // A redirect is a failure: it could lead to an address that no operator configured.
      const request = { method: "POST", headers, body: message.body, redirect: "manual", signal } as const;
      const response = await fetch(endpoint.url, request);
      await skip(response);
      return response.ok ? undefined : `answered ${response.status}`;
    } catch (error) {
      return ended.aborted ? "the node is stopping" : reasonOf(error, endpoint);
    }
  };

  /** Only of messages whose trace is collected: others would begin traces of their own. */
  return (endpoint, message, ended) => {
    const { type, traceparent: parent } = message;
    if (parent === undefined || spans === undefined) return send(endpoint, message, ended);
    const attributes = { "server.address": endpoint.origin };
    return spans.run(`webhook ${type}`, { kind: "client", parent, attributes }, () => send(endpoint, message, ended));
  };
}

function headersOf(
  { keys, authorization }: WebhookEndpoint,
  { id, body }: WebhookMessage,
  timestamp: number,
  version: string,
): Record<string, string> {
  return {
    "content-type": "application/json",
    "user-agent": `tidegate/${version}`,
    "webhook-id": id,
    "webhook-timestamp": `${timestamp}`,
    "webhook-signature": sign(keys, { id, timestamp, body }),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

async function skip(response: Response): Promise<void> {
  let left = maxResponseBytes;
  for await (const chunk of response.body ?? []) {
    left -= chunk.length;
    if (left < 0) return;
  }
}

/** The reason is in the error's cause: its code, such as `ECONNREFUSED`, is sufficient. */
function reasonOf(error: unknown, { timeoutMs }: WebhookEndpoint): string {
  if (!(error instanceof Error)) return "failed";
  if (error.name === "TimeoutError") return `did not answer within ${timeoutMs} ms`;
  const { cause } = error;
  return cause instanceof Error && "code" in cause ? `failed: ${String(cause.code)}` : `failed: ${error.name}`;
}
