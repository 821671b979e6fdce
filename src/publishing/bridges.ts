import type { PublishRequest, Published } from "../channels/publication.ts";
import { GatewayError } from "../protocol/errors.ts";
import { canonicalJson, parseJson, type GateLimits } from "../protocol/gate.ts";
import { isName } from "../protocol/names.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createTemplate, type Template } from "./template.ts";

/** One way from Redis pub/sub into a gateway channel. */
export interface BridgeOptions {
  /** A pub/sub channel; with `*`, `?` or `[` a pattern, as PSUBSCRIBE reads it. */
  pattern: string;
  /** The gateway channel; `{field}` or `{field.field}` is taken from the message. */
  channel: string;
  event: string;
}

/**
 * The fire-and-forget door: messages of Redis pub/sub, which every node hears and Redis does not keep.
 *
 * A message with an `id` is published with that as its idempotency key: the first node stores it, to the others it is a
 * repeat, and subscribers everywhere get it once, with a place in the log. One without an `id` is delivered by each node
 * to its own subscribers, live only. A message that cannot be bridged is counted and left; so is what comes while a
 * node's connection is away. Who needs more uses the commands stream.
 */
export interface Bridges {
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface BridgesDeps {
  /** Connection of role `bridges`. */
  subscriber: RedisClient;
  publish: (request: PublishRequest) => Promise<Published>;
  /** To this node's subscribers, now. Throws where the channel's kind is not configured. */
  deliverLive: (channel: string, event: string, data: string) => void;
  log: Logger;
  metrics: Pick<Metrics, "bridged" | "publications">;
}

/** Messages on their way at once; what comes beyond that is left, as it would be without a node to hear it. */
const mostAtOnce = 10_000;

type Bridge = Omit<BridgeOptions, "channel"> & { template: Template };

export function createBridges(
  { subscriber, publish, deliverLive, log, metrics }: BridgesDeps,
  options: readonly BridgeOptions[],
  limits?: Partial<GateLimits>,
): Bridges {
  const bridges = options.map(({ channel, ...rest }): Bridge => ({ ...rest, template: createTemplate(channel) }));

  let carried = 0;

  async function carry({ template, event, pattern }: Bridge, text: string): Promise<void> {
    if (carried >= mostAtOnce) return metrics.bridged.inc({ outcome: "rate_limited" });
    carried++;
    try {
      const message = parseJson(text, limits);
      const channel = template.nameFor(message);
      if (!isName(channel)) throw new GatewayError("bad_request", "The message names no channel.");
      metrics.bridged.inc({ outcome: await send(channel, event, message) });
    } catch (error) {
      const code = error instanceof GatewayError ? error.code : "internal";
      metrics.bridged.inc({ outcome: code });
      log.debug({ pattern, code, err: error }, "message not bridged");
    } finally {
      carried--;
    }
  }

  async function send(channel: string, event: string, message: unknown): Promise<"stored" | "repeated" | "live"> {
    const data = canonicalJson(message);
    const id = idOf(message);
    if (id === undefined) {
      deliverLive(channel, event, data);
      return "live";
    }
    const { duplicate } = await publish({ channel, event, data, idempotencyKey: `bridge:${id}` });
    if (!duplicate) metrics.publications.inc({ door: "bridge" });
    return duplicate ? "repeated" : "stored";
  }

  const onMessage = (channel: string, text: string): void => {
    for (const bridge of bridges) {
      if (bridge.pattern === channel && !isPattern(bridge)) void carry(bridge, text);
    }
  };
  const onPatternMessage = (pattern: string, _channel: string, text: string): void => {
    for (const bridge of bridges) if (bridge.pattern === pattern) void carry(bridge, text);
  };

  return {
    async start() {
      const patterns = [...new Set(bridges.filter(isPattern).map(({ pattern }) => pattern))];
      const channels = [...new Set(bridges.filter((one) => !isPattern(one)).map(({ pattern }) => pattern))];
      subscriber.on("message", onMessage).on("pmessage", onPatternMessage);
      if (channels.length > 0) await subscriber.subscribe(...channels);
      if (patterns.length > 0) await subscriber.psubscribe(...patterns);
    },
    async stop() {
      subscriber.off("message", onMessage).off("pmessage", onPatternMessage);
    },
  };
}

const isPattern = ({ pattern }: Pick<BridgeOptions, "pattern">): boolean => /[*?[\\]/.test(pattern);

/** A text or number that names the message; of anything else it is as if there were none. */
function idOf(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null || !("id" in message)) return undefined;
  const { id } = message;
  if (typeof id === "number") return String(id);
  return isName(id) ? id : undefined;
}
