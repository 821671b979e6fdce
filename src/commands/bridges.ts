import { command, type CommandType, type Command } from "../protocol/commands.ts";
import { GatewayError } from "../protocol/errors.ts";
import { canonicalJson, parseJson, type GateLimits } from "../protocol/gate.ts";
import { isName } from "../protocol/names.ts";
import type { RedisClient } from "../redis/connections.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import { KeyedQueue } from "../runtime/keyed-queue.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import type { CommandExecutor } from "./command-executor.ts";
import type { CommandAdder } from "./command-adder.ts";
import { createTemplate, maxNames, toText, type Template } from "./template.ts";
import { parseWith, wrong } from "../protocol/parse-with.ts";

/** Forwards messages of Redis pub/sub to gateway channels, or to the commands stream. */
export interface BridgeOptions {
  /** A pub/sub channel; with `*`, `?` or `[` a pattern, as PSUBSCRIBE reads it. */
  pattern: string;
  /** Gateway channels; `{field}` or `{field.field}` is taken from the message. A channel with a missing field is skipped. */
  channel?: string | readonly string[] | undefined;
  /** Event of the publication. */
  event?: string | undefined;
  /** Instead of `channel` and `event`: the command that the message contains. */
  command?: CommandType | undefined;
}

/**
 * Bridges for fire-and-forget messages of Redis pub/sub, which every node receives and Redis does not store.
 *
 * To channels: a message with an `id` is published with it as idempotency key: the first node publishes, for the others it
 * is a repeat, and all subscribers get it once, with an offset. Each node delivers a message without an `id` to its own
 * subscribers, live only. As a command: the first node adds it to the commands stream; for the others it is a repeat, by
 * its `id` or, without one, by its text.
 *
 * Messages are forwarded in the order in which the node received them, also while the parties of an order are looked up.
 *
 * A message that cannot be forwarded is counted, logged at a limited rate, and dropped. Messages are lost while a node is
 * not connected. Backends that need more use the commands stream.
 */
export interface Bridges {
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface BridgesDeps {
  /** Connection of role `bridges`. */
  subscriber: RedisClient;
  executor: Pick<CommandExecutor, "perform" | "encode">;
  /** Delivers to this node's subscribers. Throws if the channel's kind is not configured, or too much waits for delivery. */
  deliverLive: (channel: string, event: string, data: string) => void;
  store: CommandAdder;
  /** True for a status that orders can have. */
  isOrderStatus: (status: string) => boolean;
  /** Users by role; undefined for an unknown order. */
  partiesOf: (orderId: string) => Promise<Readonly<Record<string, string>> | undefined>;
  log: Logger;
  metrics: Pick<Metrics, "bridged">;
}

/** Max messages that are being forwarded; further ones are dropped. */
const maxConcurrent = 10_000;
/** TTL of the `id` of a message that became a command, in milliseconds. */
const idForMs = 86_400_000;
/** The same for the text of one without an `id`: longer than the delay between nodes. */
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

  const inOrder = new KeyedQueue();
  let carried = 0;

  async function carry(bridge: Bridge, text: string): Promise<void> {
    if (carried >= maxConcurrent)
      return fail(bridge, new GatewayError("rate_limited", "Too many concurrent messages."));
    carried++;
    try {
      // The sender would not learn of a refusal, so a number that a double cannot hold becomes text.
      const message = parseJson(text, limits, { inexactNumbers: "text" });
      for (const outcome of await inTurn(bridge, message, text)) metrics.bridged.inc({ outcome });
    } catch (error) {
      fail(bridge, error);
    } finally {
      carried--;
    }
  }

  function fail({ pattern }: Bridge, error: unknown): void {
    const { code, field } = error instanceof GatewayError ? error : { code: "internal", field: undefined };
    metrics.bridged.inc({ outcome: code });
    warn(
      { pattern, code, field, reason: error instanceof Error ? error.message : String(error) },
      "bridge message not published",
    );
  }

  /** Parties are looked up at once; what was received after this message is sent after it. */
  function inTurn(bridge: Bridge, message: unknown, text: string): Promise<Outcome[]> {
    const lookup = withParties(bridge.templates, message);
    lookup.catch(() => undefined);
    return inOrder.run("received", async (release) => {
      const named = await lookup;
      const sent = send(bridge, message, named, text);
      release();
      return sent;
    });
  }

  /** `named` is the message with the parties that were looked up. */
  async function send(bridge: Bridge, message: unknown, named: unknown, text: string): Promise<Outcome[]> {
    const { command, event = "", templates } = bridge;
    if (command === "order.event" && !movesOrder(message))
      return publishTo(aboutOrder.namesFor(message), "order.message", message);
    if (command !== undefined) return [await addCommand(command, message, text)];
    const channels = templates.flatMap((template) => template.namesFor(named));
    return publishTo(channels, event, message);
  }

  /** A status that is not configured cannot be applied to an order. */
  function movesOrder(message: unknown): boolean {
    const status = typeof message === "object" && message !== null && "status" in message ? message.status : undefined;
    return typeof status !== "string" || isOrderStatus(status);
  }

  async function addCommand(type: CommandType, message: unknown, text: string): Promise<Outcome> {
    const command = canonicalJson(toCommand(type, message));
    const id = idOf(message);
    const name =
      id === undefined
        ? { key: `text:${fingerprint([type, text])}`, forMs: textForMs }
        : { key: `id:${type}:${id}`, forMs: idForMs };
    return (await store.add(command, name)) ? "command" : "repeated";
  }

  async function publishTo(names: readonly string[], event: string, message: unknown): Promise<Outcome[]> {
    const channels = [...new Set(names)].slice(0, maxNames);
    if (channels.length === 0 || !channels.every(isName)) {
      throw new GatewayError("bad_request", "The message does not name a channel.");
    }
    return Promise.all(channels.map((channel) => publishOne(channel, event, message)));
  }

  /** A message about an order need not contain its parties. */
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
      deliverLive(channel, event, executor.encode({ channel, event, data: message }));
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

/** A text or number; anything else counts as no id. */
function idOf(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null || !("id" in message)) return undefined;
  const id = toText(message.id);
  return isName(id) ? id : undefined;
}

/** Fields that contain names; backends may send numbers instead. */
const names = new Set(["orderId", "eventId", "channel", "board", "member", "userId", "sessionId", "idempotencyKey"]);

/**
 * The command of a pub/sub message: fields with the same name are the command's. Other fields become its `data` if the
 * message has none, and are ignored otherwise. Throws `bad_request` naming the field.
 */
function toCommand(type: CommandType, message: unknown): Command {
  if (typeof message !== "object" || message === null || Array.isArray(message))
    throw wrong("message", "is not an object");
  const known = fieldsOf(type);
  const fields = Object.entries(message).filter(([name]) => name !== "id" && name !== "type");
  const rest = fields.filter(([name]) => !known.has(name));
  const own = fields.filter(([name]) => known.has(name)).map(([name, value]) => [name, named(name, value)] as const);
  const data = known.has("data") && rest.length > 0 ? { data: Object.fromEntries(rest) } : {};
  return parseWith(command, { ...data, ...Object.fromEntries(own), type });
}

const named = (name: string, value: unknown): unknown => (names.has(name) ? (toText(value) ?? value) : value);

function fieldsOf(type: CommandType): ReadonlySet<string> {
  const schema = command.options.find((option) => option.shape.type.value === type);
  return new Set(Object.keys(schema?.shape ?? {}));
}
