import { createHash } from "node:crypto";
import type { WebhookEvent } from "../protocol/webhooks.ts";
import { keyOf } from "./signature.ts";

/** Where to, and how, as an operator writes it. */
export interface WebhookOptions {
  /** User and password in it are sent as basic authentication. */
  url: string;
  /** Signs each delivery: a text, or `whsec_` and the key in base64. */
  secret: string;
  events: readonly WebhookEvent[];
  /** How often a delivery is tried before it becomes a dead letter. @default 16 */
  tries?: number;
  /** Milliseconds before the second try; doubled for each that follows. @default 1000 */
  firstPauseMs?: number;
  /** With the other defaults a receiver may be away for an hour. @default 600000 */
  longestPauseMs?: number;
  /** Milliseconds a receiver may take to answer. @default 10000 */
  timeoutMs?: number;
}

const defaults = { tries: 16, firstPauseMs: 1_000, longestPauseMs: 600_000, timeoutMs: 10_000 };

/** Somebody who is to be told. */
export interface Endpoint extends Pick<Required<WebhookOptions>, keyof typeof defaults> {
  /** The same on every node and after every start, whatever else changes about it. */
  readonly id: string;
  /** Without user and password. */
  readonly url: string;
  readonly authorization: string | undefined;
  /** The address as logs may show it: its path and query may be secrets. */
  readonly origin: string;
  readonly key: Buffer;
  readonly events: ReadonlySet<WebhookEvent>;
}

/** Endpoints with the same address are kept apart by their place among them. */
export function createEndpoints(options: readonly WebhookOptions[]): Endpoint[] {
  const uses = new Map<string, number>();
  return options.map((one) => {
    const use = uses.get(one.url) ?? 0;
    uses.set(one.url, use + 1);
    return createEndpoint(one, use === 0 ? one.url : `${one.url} ${use}`);
  });
}

function createEndpoint({ url, secret, events, ...rest }: WebhookOptions, name: string): Endpoint {
  const address = new URL(url);
  const { username, password, origin } = address;
  address.username = address.password = "";
  return {
    ...defaults,
    ...rest,
    id: `to-${createHash("sha256").update(name).digest("hex").slice(0, 16)}`,
    url: address.href,
    authorization: username === "" && password === "" ? undefined : basic(username, password),
    origin,
    key: keyOf(secret),
    events: new Set(events),
  };
}

function basic(username: string, password: string): string {
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(credentials).toString("base64")}`;
}
