import type { PublishRequest, Published } from "../channels/publication.ts";
import type { Orders } from "../orders/orders.ts";
import type { Command, CommandOf, CommandType } from "../protocol/commands.ts";
import { GatewayError } from "../protocol/errors.ts";
import { canonicalJson } from "../protocol/gate.ts";
import type { Order, OrderEventAnswer, OrderSignalAnswer } from "../protocol/orders.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import { subjectOfCommand } from "./commands.ts";
import type { RunOnce } from "./idempotency.ts";

/** What each command is answered. */
export interface CommandAnswers {
  publish: Published;
  "order.create": { order: Order };
  "order.event": OrderEventAnswer;
  "order.signal": OrderSignalAnswer;
  "score.submit": object;
  "session.revoke": object;
  "user.disconnect": object;
}

/**
 * Performs what backends ask, whichever door they came through: a rule learned here holds at each.
 *
 * Idempotency: a command's own key answers a repeat as the first time. `repeatKey` names the delivery where a door may
 * deliver twice: the effect then comes once, without keeping an answer where the effect itself can tell.
 */
export interface CommandExecutor {
  /** Throws a GatewayError, or what the store throws. */
  perform<T extends CommandType>(command: CommandOf<T>, repeatKey?: string): Promise<CommandAnswers[T]>;
}

export interface CommandExecutorDeps {
  publish: (request: PublishRequest) => Promise<Published>;
  orders: Pick<Orders, "create" | "apply" | "signal">;
  submitScore: (command: Omit<CommandOf<"score.submit">, "type">) => Promise<object>;
  revokeSession: (sessionId: string) => Promise<object>;
  disconnectUser: (command: Omit<CommandOf<"user.disconnect">, "type" | "idempotencyKey">) => Promise<object>;
  once: RunOnce;
}

export interface CommandExecutorOptions {
  /** Most bytes of a command's `data`, as canonical JSON. @default 65536 */
  payloadBytes?: number;
}

type Performers = { [T in CommandType]: (command: CommandOf<T>, repeatKey?: string) => Promise<CommandAnswers[T]> };

export function createCommandExecutor(
  deps: CommandExecutorDeps,
  { payloadBytes = 65_536 }: CommandExecutorOptions = {},
): CommandExecutor {
  const { publish, orders, submitScore, revokeSession, disconnectUser, once } = deps;

  /** As the first time, where the command has a key of its own. */
  function onceByKey<A>(command: Command, key: string | undefined, run: () => Promise<A>): Promise<A> {
    if (key === undefined) return run();
    const { idempotencyKey: _key, ...content } = command;
    const scope = `${command.type} ${subjectOfCommand(command)}`;
    return once({ scope, key, fingerprint: fingerprint(content) }, run);
  }

  const performers: Performers = {
    publish: ({ channel, event, data, idempotencyKey }, repeatKey) =>
      publish({ channel, event, data: canonicalJson(data), idempotencyKey: idempotencyKey ?? repeatKey }),

    "order.create": ({ type: _type, ...body }) => orders.create(body),

    "order.event": ({ type: _type, orderId, ...body }, repeatKey) =>
      orders.apply(orderId, { ...body, idempotencyKey: body.idempotencyKey ?? repeatKey }),

    "order.signal": ({ type: _type, orderId, ...body }, repeatKey) =>
      orders.signal(orderId, { ...body, idempotencyKey: body.idempotencyKey ?? repeatKey }),

    "score.submit": ({ type: _type, ...body }, repeatKey) =>
      submitScore({ ...body, idempotencyKey: body.idempotencyKey ?? repeatKey }),

    "session.revoke": ({ sessionId }) => revokeSession(sessionId),
    "user.disconnect": ({ type: _type, idempotencyKey: _key, ...body }) => disconnectUser(body),
  };

  return {
    async perform<T extends CommandType>(command: CommandOf<T>, repeatKey?: string): Promise<CommandAnswers[T]> {
      checkPayload(command, payloadBytes);
      const perform: Performers[T] = performers[command.type];
      const key = keepsOwnKey(command) ? undefined : command.idempotencyKey;
      return onceByKey(command, key, () => perform(command, repeatKey));
    },
  };
}

/** These remember their keys, and what they answered, in the scripts that take effect. */
const keepsOwnKey = ({ type }: Command): boolean => type === "publish" || type === "score.submit";

function checkPayload(command: Command, maxBytes: number): void {
  if (!("data" in command) || command.data === undefined) return;
  if (Buffer.byteLength(canonicalJson(command.data)) <= maxBytes) return;
  throw new GatewayError("payload_too_large", `data: must be at most ${maxBytes} bytes`, { field: "data" });
}
