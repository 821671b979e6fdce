import type { Clock } from "../runtime/clock.ts";
import type { Endpoint } from "./endpoints.ts";
import type { Message } from "./lane-store.ts";
import { sign } from "./signature.ts";

/** What became of one try: undefined where the receiver took it, else why not, in words for an operator. */
export type Failure = string | undefined;

export interface DeliveryDeps {
  clock: Clock;
  /** Of the gateway, for the receiver's logs. */
  version: string;
}

/** Sends one message once. Never throws; takes at most the endpoint's `timeoutMs`. `ended`: this node is stopping. */
export type Deliver = (endpoint: Endpoint, message: Message, ended: AbortSignal) => Promise<Failure>;

/** Bytes of an answer that are read, so that the connection can be used again; nobody looks at them. */
const mostAnswerBytes = 65_536;

export function createDelivery({ clock, version }: DeliveryDeps): Deliver {
  return async (endpoint, message, ended) => {
    const signal = AbortSignal.any([ended, AbortSignal.timeout(endpoint.timeoutMs)]);
    try {
      const headers = headersOf(endpoint, message, Math.floor(clock.now() / 1_000), version);
      // A redirect is a failure: it would lead where no operator said that messages may go.
      const request = { method: "POST", headers, body: message.body, redirect: "manual", signal } as const;
      const response = await fetch(endpoint.url, request);
      await skip(response);
      return response.ok ? undefined : `answered ${response.status}`;
    } catch (error) {
      return ended.aborted ? "the node is stopping" : reasonOf(error, endpoint);
    }
  };
}

function headersOf(
  { key, authorization }: Endpoint,
  { id, body }: Message,
  timestamp: number,
  version: string,
): Record<string, string> {
  return {
    "content-type": "application/json",
    "user-agent": `tidegate/${version}`,
    "webhook-id": id,
    "webhook-timestamp": `${timestamp}`,
    "webhook-signature": sign(key, { id, timestamp, body }),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

async function skip(response: Response): Promise<void> {
  let left = mostAnswerBytes;
  for await (const chunk of response.body ?? []) {
    left -= chunk.length;
    if (left < 0) return;
  }
}

/** `fetch` hides what happened in the cause, whose code (`ECONNREFUSED`) says enough. */
function reasonOf(error: unknown, { timeoutMs }: Endpoint): string {
  if (!(error instanceof Error)) return "failed";
  if (error.name === "TimeoutError") return `did not answer within ${timeoutMs} ms`;
  const { cause } = error;
  return cause instanceof Error && "code" in cause ? `failed: ${String(cause.code)}` : `failed: ${error.name}`;
}
