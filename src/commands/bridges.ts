import type { CommandType } from "../protocol/commands.ts";
import { GatewayError } from "../protocol/errors.ts";
import { canonicalJson, parseJson, type GateLimits } from "../protocol/gate.ts";
import { isName } from "../protocol/names.ts";
import type { RedisClient } from "../redis/connections.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import { toCommand } from "./bridged-command.ts";
import type { CommandExecutor } from "./command-executor.ts";
import type { BridgeStore } from "./bridge-store.ts";
import { createTemplate, mostNames, toText, type Template } from "./template.ts";

/** One way from Redis pub/sub into gateway channels, or into the commands stream. */
export interface BridgeOptions {
  /** A pub/sub channel; with `*`, `?` or `[` a pattern, as PSUBSCRIBE reads it. */
  pattern: string;
  /** Gateway channels; `{field}` or `{field.field}` is taken from the message. Those with a missing field are left out. */
  channel?: string | readonly string[] | undefined;
  /** Event of the publication. */
  event?: string | undefined;
  /** Instead of `channel` and `event`: the command that the message stands for. */
  command?: CommandType | undefined;
}

/**
 * The fire-and-forget door: messages of Redis pub/sub, which every node hears and Redis does not keep.
 *
 * To channels: a message with an `id` is published with that as its idempotency key: the first node stores it, to the
 * others it is a repeat, and subscribers everywhere get it once, with a place in the log. One without an `id` is
 * delivered by each node to its own subscribers, live only. As a command: the first node leaves it in the commands
 * stream; to the others it is a repeat, by its `id` or, without one, by its text.
 *
 * A message that cannot be bridged is counted, told to the log at a pace, and left; so is what comes while a node's
 * connection is away. Who needs more uses the commands stream.
 */
export interface Bridges {
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface BridgesDeps {
  /** Connection of role `bridges`. */
  subscriber: RedisClient;
  executor: Pick<CommandExecutor, "perform">;
  /** To this node's subscribers, now. Throws where the channel's kind is not configured. */
  deliverLive: (channel: string, event: string, data: string) => void;
  store: BridgeStore;
  /** True for a status that orders can have. */
  isOrderStatus: (status: string) => boolean;
  /** Users by role; undefined for an unknown order. */
  partiesOf: (orderId: string) => Promise<Readonly<Record<string, string>> | undefined>;
  log: Logger;
  metrics: Pick<Metrics, "bridged">;
}

/** Messages on their way at once; what comes beyond that is left, as it would be without a node to hear it. */
const mostAtOnce = 10_000;
/** Milliseconds for which the `id` of a message that became a command is remembered. */
const idForMs = 86_400_000;
/** The same for the text of one without an `id`: longer than nodes hear it one after the other. */
const textForMs = 30_000;

type Bridge = BridgeOptions & { templates: readonly Template[] };
type Outcome = "stored" | "repeated" | "live" | "command";

export function createBridges(
  { subscriber, executor, deliverLive, store, isOrderStatus, partiesOf, log, metrics }: BridgesDeps,
  options: readonly BridgeOptions[],
  limits?: Partial<GateLimits>,
): Bridges {
  const bridges = options.map((one): Bridge => ({ ...one, templates: [one.channel ?? []].flat().map(createTemplate) }));
  const warn = createPacedWarnings(log);

  let carried = 0;

  async function carry(bridge: Bridge, text: string): Promise<void> {
    if (carried >= mostAtOnce) return fail(bridge, new GatewayError("rate_limited", "Too many concurrent messages."));
    carried++;
    try {
      // Nobody hears of a refusal, so a number that JavaScript cannot hold goes on as text.
      const message = parseJson(text, limits, { inexactNumbers: "text" });
      for (const outcome of await send(bridge, message, text)) metrics.bridged.inc({ outcome });
    } catch (error) {
      fail(bridge, error);
    } finally {
      carried--;
    }
  }

  function fail({ pattern }: Bridge, error: unknown): void {
    const { code, field } = error instanceof GatewayError ? error : { code: "internal", field: undefined };
    metrics.bridged.inc({ outcome: code });
    warn({ pattern, code, field, reason: String(error) }, "bridge message not published");
  }

  async function send(bridge: Bridge, message: unknown, text: string): Promise<Outcome[]> {
    const { command, event = "", templates } = bridge;
    if (command === "order.event" && !movesOrder(message)) return publishTo([aboutOrder], "order.message", message);
    return command === undefined ? publishTo(templates, event, message) : [await leave(command, message, text)];
  }

  /** A status that no order can have says nothing of where the order stands. */
  function movesOrder(message: unknown): boolean {
    const status = typeof message === "object" && message !== null && "status" in message ? message.status : undefined;
    return typeof status !== "string" || isOrderStatus(status);
  }

  async function leave(type: CommandType, message: unknown, text: string): Promise<Outcome> {
    const command = canonicalJson(toCommand(type, message));
    const id = idOf(message);
    const name =
      id === undefined
        ? { key: `text:${fingerprint([type, text])}`, forMs: textForMs }
        : { key: `id:${type}:${id}`, forMs: idForMs };
    return (await store.leave(command, name)) ? "command" : "repeated";
  }

  async function publishTo(templates: readonly Template[], event: string, message: unknown): Promise<Outcome[]> {
    const named = await withParties(templates, message);
    const channels = new Set(templates.flatMap((template) => template.namesFor(named)).slice(0, mostNames));
    if (channels.size === 0 || ![...channels].every(isName)) {
      throw new GatewayError("bad_request", "The message does not name a channel.");
    }
    return Promise.all([...channels].map((channel) => publishOne(channel, event, message)));
  }

  /** A message about an order need not say who its parties are. */
  async function withParties(templates: readonly Template[], message: unknown): Promise<unknown> {
    if (!templates.some(({ fields }) => fields.has("parties"))) return message;
    if (typeof message !== "object" || message === null || "parties" in message || !("orderId" in message))
      return message;
    const orderId = toText(message.orderId);
    return orderId === undefined ? message : { ...message, parties: await partiesOf(orderId) };
  }

  async function publishOne(channel: string, event: string, message: unknown): Promise<Outcome> {
    const id = idOf(message);
    if (id === undefined) {
      deliverLive(channel, event, canonicalJson(message));
      return "live";
    }
    const command = { type: "publish", channel, event, data: message ?? null, idempotencyKey: `bridge:${id}` } as const;
    const published = await executor.perform(command, { door: "bridge" });
    return "duplicate" in published && published.duplicate ? "repeated" : "stored";
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

const aboutOrder = createTemplate("order:{orderId}");

const isPattern = ({ pattern }: Pick<BridgeOptions, "pattern">): boolean => /[*?[\\]/.test(pattern);

/** A text or number that names the message; of anything else it is as if there were none. */
function idOf(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null || !("id" in message)) return undefined;
  const id = toText(message.id);
  return isName(id) ? id : undefined;
}
