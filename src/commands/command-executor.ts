import {
  idempotencyDefaults,
  type EphemeralResult,
  type EphemeralPublished,
  type PublishRequest,
  type Published,
} from "../channels/publication.ts";
import type { UpdatedOrder } from "../orders/order-updates.ts";
import type { Orders } from "../orders/orders.ts";
import type { ClientAnswers, ClientRequest, AskedClients } from "../protocol/client-requests.ts";
import { subjectOfCommand } from "../protocol/command-subject.ts";
import type { Command, CommandOf, CommandType } from "../protocol/commands.ts";
import type { ContractChecks, PublicationToCheck } from "../protocol/contract/contract-checks.ts";
import { GatewayError } from "../protocol/errors.ts";
import { defaultGateLimits, canonicalJson } from "../protocol/gate.ts";
import type { Order } from "../protocol/order.ts";
import type { OrderEventAnswer, OrderSignalAnswer } from "../protocol/orders.ts";
import { fingerprint } from "../runtime/fingerprint.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { RunOnce } from "./idempotency.ts";

/** The result of each command. */
export interface CommandAnswers {
  publish: Published | EphemeralPublished;
  "order.create": { order: Order };
  "order.update": UpdatedOrder;
  "order.event": OrderEventAnswer;
  "order.signal": OrderSignalAnswer;
  "score.submit": object;
  "session.update": object;
  "session.revoke": object;
  "user.disconnect": object;
}

export interface CommandContext {
  /** Where the command came from; a label of metrics. */
  door: "http" | "stream" | "bridge" | "schedule" | "outbox" | "app";
  /** Identifies the delivery if the door may deliver a command twice; its effect then comes once. */
  deliveryKey?: string | undefined;
  /** Of the caller, if the command has it. */
  traceparent?: string | undefined;
  /** Path of the command in the request, for errors: `publications[3]`. */
  at?: string | undefined;
  /** True if other commands have the same object as `data`, which nobody changes meanwhile. */
  sharesData?: true;
}

/** A write that only the HTTP API has; a retry with its idempotency key gets the first response. */
export interface Write {
  /** `operation` and what it applies to: the scope of the key. */
  scope: string;
  content: unknown;
  idempotencyKey: string | undefined;
  /** How long the key is remembered. @default as configured */
  ttlSeconds?: number | undefined;
}

/**
 * Performs what backends ask for, from every interface: they parse, and everything else happens here once, such as checking
 * the payload, idempotency and metrics. Callers are authenticated, and their rate limited, by the interface, before it
 * reads a body.
 */
export interface CommandExecutor {
  /** Throws a GatewayError, or the error of the store. */
  perform<T extends CommandType>(command: CommandOf<T>, context: CommandContext): Promise<CommandAnswers[T]>;
  write<A>(write: Write, run: () => Promise<A>): Promise<A>;
  /** Asks a user's connections, or one connection, and resolves with their acknowledgements. */
  request(target: AskedClients, request: ClientRequest): Promise<ClientAnswers>;
  /** Throws `payload_too_large`; for a payload that several commands share. */
  checkPayload(data: unknown): void;
  /** A command as the contract's schemas return it; for doors that perform it by themselves. Throws `bad_request`. */
  check<C extends Command>(command: C, at?: string): C;
  /**
   * The data of a publication as JSON, checked against the contract and the size limit; for doors that publish by
   * themselves. `at` is the path of the publication. Throws `bad_request` and `payload_too_large`.
   */
  encode(publication: PublicationToCheck, at?: string): string;
}

/** What a command changes of a session. */
export type SessionChangeFields = Omit<CommandOf<"session.update">, "type" | "sessionId" | "idempotencyKey">;

/** Runs a command; for whoever observes commands. */
export type AroundCommand = <A extends object>(
  command: Command,
  context: CommandContext,
  run: () => Promise<A>,
) => Promise<A>;

export interface CommandExecutorDeps {
  around?: AroundCommand | undefined;
  publish: (request: PublishRequest) => Promise<Published>;
  publishEphemeral: (request: PublishRequest) => Promise<EphemeralResult>;
  orders: Pick<Orders, "create" | "update" | "apply" | "signal">;
  submitScore: (command: Omit<CommandOf<"score.submit">, "type">, idempotencyTtlSeconds?: number) => Promise<object>;
  updateSession: (sessionId: string, change: SessionChangeFields) => Promise<object>;
  revokeSession: (sessionId: string) => Promise<object>;
  disconnectUser: (command: Omit<CommandOf<"user.disconnect">, "type" | "idempotencyKey">) => Promise<object>;
  askClients: (target: AskedClients, request: ClientRequest) => Promise<ClientAnswers>;
  once: RunOnce;
  /** Returns data as the contract's schemas do. Omit if there is no contract. */
  checks?: Pick<ContractChecks, "publication" | "command"> | undefined;
  metrics: Pick<Metrics, "publications">;
}

export interface CommandExecutorOptions {
  /** Max bytes of a command's `data`, as canonical JSON. @default 65536 */
  payloadBytes?: number;
  /** How long a delivery is remembered, with all keys of its command. @default 86400 */
  deliveryTtlSeconds?: number;
}

type Performers = {
  [T in CommandType]: (command: CommandOf<T>, context: CommandContext) => Promise<CommandAnswers[T]>;
};

export function createCommandExecutor(
  deps: CommandExecutorDeps,
  options: CommandExecutorOptions = {},
): CommandExecutor {
  const { payloadBytes = defaultGateLimits.maxBytes, deliveryTtlSeconds = idempotencyDefaults.deliveryTtlSeconds } =
    options;
  const { orders, submitScore, updateSession, revokeSession, disconnectUser, once, metrics, checks } = deps;
  const toJson = withinBytes(payloadBytes);

  function encode(publication: PublicationToCheck, at?: string, isShared?: boolean): string {
    const data = checks === undefined ? publication.data : checks.publication(publication, at);
    return toJson(data, dataField(at), isShared);
  }

  async function publish(
    { channel, event, data, from, except, ephemeral, idempotencyKey }: CommandOf<"publish">,
    context: CommandContext,
  ): Promise<Published | EphemeralPublished> {
    const { door, deliveryKey, at, sharesData } = context;
    const request = {
      channel,
      event,
      data: encode({ channel, event, data }, at, sharesData),
      from,
      except: except === undefined ? undefined : [except].flat(),
      idempotencyTtlSeconds: ttlOf(context),
    };
    // The cheapest ephemeral publication has no key, so a delivery gives it none.
    const published =
      ephemeral === true
        ? await deps.publishEphemeral({ ...request, idempotencyKey })
        : await deps.publish({ ...request, idempotencyKey: idempotencyKey ?? deliveryKey });
    if (!published.duplicate) metrics.publications.inc({ door });
    return "offset" in published ? published : { channel };
  }

  /** Undefined for a door that delivers once. */
  const ttlOf = ({ deliveryKey }: CommandContext): number | undefined =>
    deliveryKey === undefined ? undefined : deliveryTtlSeconds;

  /** Orders detect a repeated delivery by its key; a command's own key also determines the response. */
  const withKey = <B extends { idempotencyKey?: string | undefined }>(body: B, { deliveryKey }: CommandContext): B => ({
    ...body,
    idempotencyKey: body.idempotencyKey ?? deliveryKey,
  });

  const performers: Performers = {
    publish,
    "order.create": ({ type: _type, ...body }) => orders.create(body),
    "order.update": ({ type: _type, orderId, ...body }, context) => orders.update(orderId, withKey(body, context)),
    "order.event": ({ type: _type, orderId, ...body }, context) => orders.apply(orderId, withKey(body, context)),
    "order.signal": ({ type: _type, orderId, ...body }, context) =>
      orders.signal(orderId, withKey(body, context), ttlOf(context)),
    "score.submit": ({ type: _type, ...body }, context) => submitScore(withKey(body, context), ttlOf(context)),
    "session.update": ({ type: _type, idempotencyKey: _key, sessionId, ...change }) => updateSession(sessionId, change),
    "session.revoke": ({ sessionId }) => revokeSession(sessionId),
    "user.disconnect": ({ type: _type, idempotencyKey: _key, ...body }) => disconnectUser(body),
  };

  async function write<A>(
    { scope, content, idempotencyKey: key, ttlSeconds }: Write,
    run: () => Promise<A>,
  ): Promise<A> {
    return key === undefined ? run() : once({ scope, key, fingerprint: fingerprint(content), ttlSeconds }, run);
  }

  async function run<T extends CommandType>(given: CommandOf<T>, context: CommandContext): Promise<CommandAnswers[T]> {
    const command = checks === undefined ? given : checks.command(given, context.at);
    const perform: Performers[T] = performers[command.type];
    if (storesItsKey(command)) return perform(command, context);
    if ("data" in command && command.data !== undefined) toJson(command.data, dataField(context.at));
    const { idempotencyKey, ...content } = command as Command;
    const scope = `${command.type} ${subjectOfCommand(command)}`;
    const key = idempotencyKey ?? (mayUndo(command) ? context.deliveryKey : undefined);
    const once = { scope, content, idempotencyKey: key, ttlSeconds: ttlOf(context) };
    return write(once, () => perform(command, context));
  }

  return {
    perform(given, givenContext) {
      const { around } = deps;
      const { meta, ...command } = given;
      const context = meta === undefined ? givenContext : { ...givenContext, traceparent: meta.traceparent };
      const act = () => run(command as typeof given, context);
      return around === undefined ? act() : around(command as typeof given, context, act);
    },
    write,
    async request(target, request) {
      toJson(request.args ?? [], "args");
      return deps.askClients(target, request);
    },
    checkPayload: (data) => void toJson(data, dataField()),
    check: (command, at) => (checks === undefined ? command : checks.command(command, at)),
    encode,
  };
}

/** The scripts of these commands store the idempotency key and the response. */
const storesItsKey = ({ type }: Command): boolean => type === "publish" || type === "score.submit";

/** A repeat would have a second effect: on who has connected again, a session that was changed, an order that was removed. */
const mayUndo = ({ type }: Command): boolean =>
  type === "user.disconnect" || type === "session.update" || type === "order.create";

const dataField = (at?: string): string => (at === undefined ? "data" : `${at}.data`);

/** Encodes a payload; throws `payload_too_large` if it is too long. The last shared one is encoded once. */
function withinBytes(maxBytes: number): (data: unknown, field: string, isShared?: boolean) => string {
  let last: { data: unknown; json: string } | undefined;
  return (data, field, isShared = false) => {
    if (isShared && last !== undefined && last.data === data) return last.json;
    const json = canonicalJson(data);
    if (Buffer.byteLength(json) > maxBytes)
      throw new GatewayError("payload_too_large", `${field}: must be at most ${maxBytes} bytes`, { field });
    if (isShared) last = { data, json };
    return json;
  };
}
