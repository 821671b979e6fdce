import type { KeyObject } from "node:crypto";
import { createHash } from "node:crypto";
import type { WebhookEvent } from "../protocol/webhooks.ts";
import { keysOf, type Secrets } from "./signature.ts";

/** An endpoint as configured. */
export interface WebhookOptions {
  /** A user and password in the URL are sent as basic authentication. */
  url: string;
  /** Key for signatures: a text, or `whsec_` and the key in base64. */
  secret: Secrets;
  events: readonly WebhookEvent[];
  /** Max attempts before a message becomes a dead letter. @default 16 */
  tries?: number;
  /** Milliseconds before the second attempt; doubled for each that follows. @default 1000 */
  firstPauseMs?: number;
  /** Max milliseconds between two attempts; with the defaults a receiver may be down for an hour. @default 600000 */
  longestPauseMs?: number;
  /** Request timeout in milliseconds. @default 10000 */
  timeoutMs?: number;
}

export const endpointDefaults = { tries: 16, firstPauseMs: 1_000, longestPauseMs: 600_000, timeoutMs: 10_000 };

/** An endpoint with its defaults. */
export interface WebhookEndpoint extends Pick<Required<WebhookOptions>, keyof typeof endpointDefaults> {
  /** Derived from the URL: the same on every node and after restarts. */
  readonly id: string;
  /** Without user and password. */
  readonly url: string;
  readonly authorization: string | undefined;
  /** The address for logs: its path and query may contain secrets. */
  readonly origin: string;
  readonly keys: readonly KeyObject[];
  readonly events: ReadonlySet<WebhookEvent>;
}

/** Endpoints with the same address are distinguished by their position. */
export function createEndpoints(options: readonly WebhookOptions[]): WebhookEndpoint[] {
  const uses = new Map<string, number>();
  return options.map((one) => {
    const use = uses.get(one.url) ?? 0;
    uses.set(one.url, use + 1);
    return createEndpoint(one, use === 0 ? one.url : `${one.url} ${use}`);
  });
}

function createEndpoint({ url, secret, events, ...rest }: WebhookOptions, name: string): WebhookEndpoint {
  const address = new URL(url);
  const authorization = authorizationIn(address);
  address.username = address.password = "";
  return {
    ...endpointDefaults,
    ...rest,
    id: `to-${createHash("sha256").update(name).digest("hex").slice(0, 16)}`,
    url: address.href,
    authorization,
    origin: address.origin,
    keys: keysOf(secret),
    events: new Set(events),
  };
}

/** Basic authentication with the user and password in a URL; undefined if it has none. */
export function authorizationIn({ username, password }: URL): string | undefined {
  if (username === "" && password === "") return undefined;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(credentials).toString("base64")}`;
}
