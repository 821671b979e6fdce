import { z } from "zod";
import type { ContractChecks } from "../protocol/contract/contract-checks.ts";
import { appFailed, GatewayError, type ClientErrorBody } from "../protocol/errors.ts";
import { checkNoBinary } from "../protocol/no-binary.ts";
import { parseWith, wrong } from "../protocol/parse-with.ts";
import type { EventClass, Metrics } from "../runtime/metrics.ts";
import type { ClientHandler } from "./client-handler.ts";
import type { AppConnection, Connection } from "./connection.ts";
import { ConnectionRequests } from "./connection-requests.ts";
import { ephemeralEvent } from "../throttling/policies.ts";
import { LimitRefusal, limiterOf, recordRefusal, refusalOf, type RefusalDeps } from "../commands/refusal.ts";
import type { ErrorReporter } from "./error-reporter.ts";
import { type Receipt, refused } from "../engine/parser.ts";
import { InFlightCounter } from "./in-flight.ts";
import type { RefusedEvents } from "./refused-events.ts";
import type { RateLimitResult } from "./rate-limit-result.ts";

/**
 * Counts one message of a connection and its bytes. `event` is the name of a handler, `invalid` for a message that no
 * handler accepts, or `ephemeral` for a change of state or an ephemeral publication.
 */
export type Throttle = (
  connection: Connection,
  event: string,
  bytes: number,
) => RateLimitResult | Promise<RateLimitResult>;

/** Handles events that are not built in. */
export interface AppEvents {
  /** Resolves with the arguments of the acknowledgement; undefined if the app does not handle the event. */
  handlerOf(
    connection: AppConnection,
    event: string,
  ): ((args: readonly unknown[]) => Promise<readonly unknown[]>) | undefined;
}

/** Passes an event on to the listeners of its Socket.IO socket. */
export interface SocketListeners {
  /** Whether any would be called. */
  has(event: string): boolean;
  /** Whether one was added for this event. */
  isFor(event: string): boolean;
  /** Calls the listeners with these arguments and the acknowledgement of packet `id`; `onUnsendable`, if that has no JSON. */
  call(id: number | undefined, args: readonly unknown[], onUnsendable: (error: unknown) => void): void;
  /** Calls the listeners for any event, with its name and arguments. */
  show(event: readonly unknown[]): void;
}

/** How an event ended. */
export interface EventOutcome {
  answer?: object | undefined;
  error?: unknown;
}

/** Called when an event begins; what it returns is called when the event has ended. */
export type ObserveEvent = (
  connection: Connection,
  event: readonly unknown[],
) => ((outcome: EventOutcome) => void) | undefined;

export interface DispatchDeps extends RefusalDeps {
  metrics: RefusalDeps["metrics"] & Pick<Metrics, "eventLatency" | "receivedBytes">;
  observe?: ObserveEvent | undefined;
  handlers: readonly ClientHandler[];
  /** Omit to refuse all events that are not built in. */
  app?: AppEvents | undefined;
  /** Checks events for the app, and its answers. Omit if there is no contract. */
  checks?: Pick<ContractChecks, "namespace"> | undefined;
  /** Whether the app may be asked before a client subscribes or publishes to the channel. Omit if it never is. */
  asksApp?: ((event: string, channel: string) => boolean) | undefined;
  refusedEvents: RefusedEvents;
  /** Omit for no limit. */
  throttle?: Throttle | undefined;
  /** Awaited before an answer is sent; undefined if it may be sent at once. Omit to send all at once. */
  untilAnswersAllowed?: ((connection: Connection) => Promise<void> | undefined) | undefined;
  failures: ErrorReporter;
}

export interface DispatchOptions {
  /** Messages of one connection in flight at which reading stops; four times as many are refused. @default 256 */
  maxUnanswered?: number | undefined;
}

/** What has been read by the time that reading stops, such as what a client has collected while it was offline, is handled too. */
const readFactor = 4;

type Acknowledge = (answer: object) => void;

/** An event as received: its name and its arguments. */
interface IncomingEvent {
  readonly event: readonly unknown[];
  readonly bytes: number;
  readonly isBinary: boolean;
  readonly id: number | undefined;
  readonly listeners: SocketListeners | undefined;
}

interface ParsedRequest {
  handler: ClientHandler;
  message: unknown;
  bytes: number;
}

/**
 * Runs handlers: parse, throttle, run, acknowledge. An error of a handler becomes an acknowledgement.
 *
 * Order: messages of a connection that name the same channel, or the same board, are handled one after the other as they
 * arrived, so that an `unsubscribe` never overtakes its `subscribe` and publications keep their order; a publication
 * does not wait until the previous one is acknowledged. All others may overtake each other, and so may their answers.
 */
export class Dispatch {
  readonly #deps: DispatchDeps;
  readonly #maxUnanswered: number;
  readonly #handlers: ReadonlyMap<string, ClientHandler>;
  readonly #unfinished = new InFlightCounter();

  constructor(deps: DispatchDeps, { maxUnanswered = 256 }: DispatchOptions = {}) {
    this.#deps = deps;
    this.#maxUnanswered = maxUnanswered;
    this.#handlers = new Map(deps.handlers.map((handler) => [handler.event, handler]));
  }

  open(connection: AppConnection): ConnectionRequests {
    return new ConnectionRequests(connection);
  }

  /** Receives an event as the parser returned it: name, arguments and the receipt. */
  receive(requests: ConnectionRequests, packet: readonly unknown[], listeners?: SocketListeners): void {
    const { connection } = requests;
    if (!connection.isOpen) return;
    const { id, bytes, isBinary } = packet.at(-1) as Receipt;
    const acknowledge: Acknowledge = id === undefined ? ignoreAnswer : (answer) => connection.answer(id, answer);
    this.#deps.metrics.receivedBytes.inc(bytes);
    const incoming: IncomingEvent = { event: packet.slice(0, -1), bytes, isBinary, id, listeners };
    const answered = this.#answer(requests, incoming, acknowledge);
    answered.catch((error: unknown) => this.#deps.failures.report("socket.answer", error));
  }

  /** Resolves when no handler runs for any connection. */
  idle(): Promise<void> {
    return this.#unfinished.idle();
  }

  async #answer(requests: ConnectionRequests, message: IncomingEvent, acknowledge: Acknowledge): Promise<void> {
    this.#begin(requests);
    const startedAt = performance.now();
    let eventClass: EventClass = this.#classOf(requests.connection, message.event[0]);
    const ended = this.#deps.observe?.(requests.connection, message.event);
    try {
      const answer = await this.#perform(requests, message);
      const allowed = this.#deps.untilAnswersAllowed?.(requests.connection);
      if (allowed !== undefined) await allowed;
      if (answer instanceof AppAnswer) acknowledgeWith(requests.connection, message.id, answer);
      else acknowledge({ ok: true, ...answer });
      ended?.({ answer: answer instanceof AppAnswer ? answer.args : answer });
    } catch (error) {
      ended?.({ error });
      const body = this.#bodyOf(error, requests.connection, message.event);
      acknowledge({ ok: false, error: body });
      if (body.code === "unknown_event") eventClass = "unknown";
      const refused = { ...body, limiter: error instanceof GatewayError ? limiterOf(error) : "" };
      this.#deps.refusedEvents.note(requests.connection, String(message.event[0]), refused, message.id === undefined);
    } finally {
      this.#deps.metrics.eventLatency.observe({ class: eventClass }, (performance.now() - startedAt) / 1_000);
      this.#end(requests);
    }
  }

  #classOf({ namespace }: AppConnection, name: unknown): EventClass {
    return typeof name === "string" && (namespace !== "/" || !this.#handlers.has(name)) ? "app" : "built_in";
  }

  /**
   * Pauses reading from a client with too many requests in flight, until there are fewer. Its further requests stay in the
   * network; otherwise one tick would read as many as have arrived while all other clients wait.
   */
  #begin({ connection, inFlight: unfinished }: ConnectionRequests): void {
    this.#unfinished.begin();
    unfinished.begin();
    if (unfinished.count === this.#maxUnanswered) connection.pauseReading();
  }

  #end({ connection, inFlight: unfinished }: ConnectionRequests): void {
    unfinished.end();
    this.#unfinished.end();
    if (unfinished.count === this.#maxUnanswered >> 1) connection.resumeReading();
  }

  #perform(requests: ConnectionRequests, message: IncomingEvent): Promise<object> {
    if (requests.inFlight.count > readFactor * this.#maxUnanswered) throw tooManyUnanswered();
    const [name, ...args] = message.event;
    if (typeof name === "string" && this.#classOf(requests.connection, name) === "app") {
      const handle = this.#appHandlerOf(requests.connection, name, args, message);
      if (handle !== undefined) return requests.run(appKey, () => this.#runApp(requests, message, handle));
      if (requests.connection.namespace !== "/")
        return requests.run(appKey, () => this.#runApp(requests, message, unknownEvent));
    }
    if (typeof name === "string" && message.listeners?.isFor(name) === true) this.#deps.refusedEvents.noteUnheard(name);
    const request = this.#read(requests.connection, message);
    const run = (release?: () => void): Promise<object> => this.#run(requests.connection, request, release);
    const key = orderingKeyOf(request.message);
    if (key === undefined) return run();
    // The app is asked in the order in which the client sent events, subscriptions and publications.
    if (this.#deps.asksApp?.(request.handler.event, key) === true) return requests.runInBoth(key, appKey, () => run());
    return requests.run(key, run);
  }

  #appHandlerOf(
    connection: AppConnection,
    name: string,
    args: readonly unknown[],
    { id, listeners }: IncomingEvent,
  ): (() => Promise<AppAnswer>) | undefined {
    const handle = this.#deps.app?.handlerOf(connection, name);
    const checks = this.#deps.checks?.namespace(connection.namespace);
    if (handle !== undefined)
      return async () => {
        const input = checks === undefined ? args : await checks.event(name, args);
        listeners?.show([name, ...input]);
        const answer = await handle(input);
        // The app may also have disconnected the client, which happens after its answer.
        return new AppAnswer(
          checks === undefined ? answer : await connection.answerFirst(() => checks.answer(name, answer)),
        );
      };
    if (listeners?.has(name) !== true) return undefined;
    const fail = (error: unknown): void => {
      const body = this.#bodyOf(appFailed(error), connection, [name]);
      if (id !== undefined) connection.answer(id, { ok: false, error: body });
    };
    return async () => {
      listeners.call(id, checks === undefined ? args : await checks.event(name, args), fail);
      return new AppAnswer(undefined);
    };
  }

  async #runApp<T>(
    { connection }: ConnectionRequests,
    { event, bytes }: IncomingEvent,
    handle: () => Promise<T>,
  ): Promise<T> {
    const limited = this.#checkLimit(connection, String(event[0]), bytes);
    if (limited !== undefined) await limited;
    return handle();
  }

  /** Throws, or rejects, if the limit is exceeded; a promise only if the limiter needs a round trip. */
  #checkLimit(connection: Connection, event: string, bytes: number): Promise<void> | undefined {
    const result = this.#deps.throttle?.(connection, event, bytes);
    if (result instanceof Promise) return result.then(refuseIfExceeded);
    refuseIfExceeded(result);
    return undefined;
  }

  /** Invalid messages are counted by the limiter too, but always refused with their own error. */
  #read(connection: Connection, { event, bytes, isBinary }: IncomingEvent): ParsedRequest {
    try {
      const handler = handlerOf(this.#handlers, event);
      const argument = argumentOf(event, handler);
      if (isBinary) checkNoBinary(argument);
      return { handler, message: parseWith(handler.schema, argument), bytes };
    } catch (error) {
      this.#throttle(connection, "invalid", bytes).catch((fault: unknown) =>
        this.#deps.failures.report("throttle", fault),
      );
      throw error;
    }
  }

  async #run(
    connection: Connection,
    { handler, message, bytes }: ParsedRequest,
    release?: () => void,
  ): Promise<object> {
    const limited = this.#checkLimit(connection, handler.isEphemeral(message) ? ephemeralEvent : handler.event, bytes);
    if (limited !== undefined) await limited;
    const answer = handler.handle(connection, message);
    if (handler.isOrderedOnceStarted) release?.();
    return answer;
  }

  async #throttle(connection: Connection, event: string, bytes: number): Promise<RateLimitResult | undefined> {
    return this.#deps.throttle?.(connection, event, bytes);
  }

  #bodyOf(error: unknown, { id, identity, address }: Connection, event: readonly unknown[]): ClientErrorBody {
    const refusal = refusalOf(error);
    const operation = typeof event[0] === "string" && this.#handlers.has(event[0]) ? event[0] : undefined;
    recordRefusal(this.#deps, refusal, {
      kind: "event",
      connectionId: id,
      userId: identity.userId,
      sessionId: identity.sessionId,
      address,
      operation,
      channel: operation && orderingKeyOf(event[1]),
    });
    if (refusal.code === "internal" || refusal.code === "app_failed") this.#report(operation, event, error);
    return refusal.toClientBody();
  }

  /** Clients choose the names of an app's events. */
  #report(operation: string | undefined, [name]: readonly unknown[], error: unknown): void {
    const { failures } = this.#deps;
    if (operation !== undefined) failures.report(`event ${operation}`, error);
    else failures.report("app.event", error, { event: String(name).slice(0, maxLoggedLength) });
  }
}

function refuseIfExceeded(result: RateLimitResult | undefined): void {
  if (result?.allowed === false) throw new LimitRefusal(result.limiter ?? "messages", result);
}

/** Arguments of an app's acknowledgement; undefined if a listener of the socket acknowledges. */
class AppAnswer {
  readonly args: readonly unknown[] | undefined;

  constructor(args: readonly unknown[] | undefined) {
    this.args = args;
  }
}

/** What cannot be sent, such as a circular value, is the app's failure. */
function acknowledgeWith(connection: AppConnection, id: number | undefined, { args }: AppAnswer): void {
  if (id === undefined || args === undefined) return;
  try {
    connection.acknowledge(id, args);
  } catch (error) {
    throw appFailed(error);
  }
}

/** Queue of the events that an app handles: those of one connection run in order. No channel has this name. */
const appKey = "\0app";

const unknownEvent = (): Promise<never> => Promise.reject(new GatewayError("unknown_event"));

/** A client that requested no acknowledgement is warned of a refusal. */
const ignoreAnswer: Acknowledge = () => undefined;

/** Max characters of an event's name in the log. */
const maxLoggedLength = 128;

const tooManyUnanswered = (): GatewayError =>
  new LimitRefusal("unanswered", { retryAfterMs: 1_000 }, "Too many messages are waiting for an answer.");

function handlerOf(handlers: ReadonlyMap<string, ClientHandler>, [name, error]: readonly unknown[]): ClientHandler {
  if (name === refused) throw error as GatewayError;
  const handler = typeof name === "string" ? handlers.get(name) : undefined;
  if (typeof name !== "string") throw wrong("event", "must be a string");
  if (handler === undefined) throw new GatewayError("unknown_event");
  return handler;
}

function argumentOf(event: readonly unknown[], handler: ClientHandler): object {
  const [, argument] = event;
  if (event.length !== 2) throw wrong("argument", `expected exactly one argument, ${objectOf(handler)}`);
  if (typeof argument !== "object" || argument === null || Array.isArray(argument)) {
    throw wrong("argument", `must be ${objectOf(handler)}`);
  }
  return argument;
}

/** What a handler takes, with the fields that it requires: `an object with channel, event, data`. */
function objectOf({ schema }: ClientHandler): string {
  const fields = schema instanceof z.ZodObject ? Object.entries(schema.shape) : [];
  const required = fields.filter(([, field]) => !(field as z.ZodType).safeParse(undefined).success);
  return required.length === 0 ? "an object" : `an object with ${required.map(([name]) => name).join(", ")}`;
}

/** The channel or board of a message. If a channel and a board have the same name, their requests share a queue. */
function orderingKeyOf(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  const { channel, board } = message as { channel?: unknown; board?: unknown };
  const name = channel ?? board;
  return typeof name === "string" ? name : undefined;
}
