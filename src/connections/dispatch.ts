import type { ErrorBody, GatewayError } from "../protocol/errors.ts";
import { parseWith, wrong } from "../protocol/parse-with.ts";
import type { Metrics } from "../runtime/metrics.ts";
import type { ClientHandler } from "./client-handler.ts";
import type { Connection } from "./connection.ts";
import { limiterOf, LimitRefusal, refusalOf } from "../commands/refusal.ts";
import type { Failures } from "./failures.ts";
import { Lanes } from "./lanes.ts";
import { type Receipt, refused } from "../engine/parser.ts";
import { Unfinished } from "./unfinished.ts";
import type { Verdict } from "./verdict.ts";

/**
 * Counts one message of a connection and its bytes. `event` is one of the handlers', or `invalid` for what none of them
 * takes.
 */
export type Throttle = (connection: Connection, event: string, bytes: number) => Verdict | Promise<Verdict>;

export interface DispatchDeps {
  handlers: readonly ClientHandler[];
  /** Absent: no limit. */
  throttle?: Throttle | undefined;
  /** What an answer waits for; undefined where it may leave at once. Absent: they all may. */
  mayAnswer?: ((connection: Connection) => Promise<void> | undefined) | undefined;
  metrics: Pick<Metrics, "refusals">;
  failures: Failures;
}

export interface DispatchOptions {
  /** Messages of one connection that wait for their answer; what comes on top is refused. @default 256 */
  maxUnanswered?: number | undefined;
}

/** Messages of one connection. */
export interface Inbox {
  readonly connection: Connection;
  readonly lanes: Lanes;
  readonly unfinished: Unfinished;
}

type Acknowledge = (answer: object) => void;

/** An event as it came: its name and its arguments. */
interface Message {
  readonly event: readonly unknown[];
  readonly bytes: number;
}

interface Request {
  handler: ClientHandler;
  message: unknown;
  bytes: number;
}

/**
 * Everything round a handler: parse, throttle, run, acknowledge. What a handler throws costs one acknowledgement.
 *
 * Order: messages of a connection that name the same channel, or the same board, are handled one after the other as they
 * came, so that an `unsubscribe` never overtakes its `subscribe` and publications keep their order; publications do not
 * wait for each other's end. All others may
 * overtake each other, and so may their answers.
 */
export class Dispatch {
  readonly #deps: DispatchDeps;
  readonly #maxUnanswered: number;
  readonly #handlers: ReadonlyMap<string, ClientHandler>;
  readonly #unfinished = new Unfinished();

  constructor(deps: DispatchDeps, { maxUnanswered = 256 }: DispatchOptions = {}) {
    this.#deps = deps;
    this.#maxUnanswered = maxUnanswered;
    this.#handlers = new Map(deps.handlers.map((handler) => [handler.event, handler]));
  }

  open(connection: Connection): Inbox {
    return { connection, lanes: new Lanes(), unfinished: new Unfinished() };
  }

  /** Takes an event as the parser made it: name, arguments and the receipt. */
  receive(inbox: Inbox, packet: readonly unknown[]): void {
    const { connection } = inbox;
    if (!connection.isOpen) return;
    const { id, bytes } = packet.at(-1) as Receipt;
    const acknowledge: Acknowledge = id === undefined ? unheard : (answer) => connection.answer(id, answer);
    const answered = this.#answer(inbox, { event: packet.slice(0, -1), bytes }, acknowledge);
    answered.catch((error: unknown) => this.#deps.failures.report("socket.answer", error));
  }

  /** Resolves when no handler runs for any connection. */
  idle(): Promise<void> {
    return this.#unfinished.idle();
  }

  async #answer(inbox: Inbox, message: Message, acknowledge: Acknowledge): Promise<void> {
    this.#begin(inbox);
    try {
      const answer = await this.#perform(inbox, message);
      const allowed = this.#deps.mayAnswer?.(inbox.connection);
      if (allowed !== undefined) await allowed;
      acknowledge({ ok: true, ...answer });
    } catch (error) {
      acknowledge({ ok: false, error: this.#bodyOf(error, message.event[0]) });
    } finally {
      this.#end(inbox);
    }
  }

  /**
   * Who does not wait for answers is not read until there are fewer: what it sends on stays in the network, where else it
   * would be read, in one turn as much as has come, by a node that has all others to serve.
   */
  #begin({ connection, unfinished }: Inbox): void {
    this.#unfinished.begin();
    unfinished.begin();
    if (unfinished.count === this.#maxUnanswered) connection.stopReading();
  }

  #end({ connection, unfinished }: Inbox): void {
    unfinished.end();
    this.#unfinished.end();
    if (unfinished.count === this.#maxUnanswered >> 1) connection.readOn();
  }

  #perform(inbox: Inbox, message: Message): Promise<object> {
    if (inbox.unfinished.count > this.#maxUnanswered) throw tooManyUnanswered();
    const request = this.#read(inbox.connection, message);
    const run = (letNext?: () => void): Promise<object> => this.#run(inbox.connection, request, letNext);
    const lane = laneOf(request.message);
    return lane === undefined ? run() : inbox.lanes.run(lane, run);
  }

  /** What is wrong is counted by the limiter too, though always refused by its own name. */
  #read(connection: Connection, { event, bytes }: Message): Request {
    try {
      const handler = handlerOf(this.#handlers, event);
      return { handler, message: parseWith(handler.schema, argumentOf(event)), bytes };
    } catch (error) {
      this.#throttle(connection, "invalid", bytes).catch((fault: unknown) =>
        this.#deps.failures.report("throttle", fault),
      );
      throw error;
    }
  }

  async #run(connection: Connection, { handler, message, bytes }: Request, letNext?: () => void): Promise<object> {
    const verdict = await this.#throttle(connection, handler.event, bytes);
    if (verdict?.allowed === false) throw new LimitRefusal(verdict.limiter ?? "messages", verdict);
    const answer = handler.handle(connection, message);
    if (handler.isInOrderOnceBegun) letNext?.();
    return answer;
  }

  async #throttle(connection: Connection, event: string, bytes: number): Promise<Verdict | undefined> {
    return this.#deps.throttle?.(connection, event, bytes);
  }

  #bodyOf(error: unknown, event: unknown): ErrorBody {
    const refusal = refusalOf(error);
    this.#deps.metrics.refusals.inc({ code: refusal.code, limiter: limiterOf(refusal) });
    if (refusal.code === "internal") this.#deps.failures.report(`event ${String(event)}`, error);
    return refusal.toBody();
  }
}

/** Where the client wants no answer there is no place for a refusal either: it is only counted. */
const unheard: Acknowledge = () => undefined;

/** Milliseconds after which a client that did not wait for its answers may go on. */
const unansweredRetryMs = 1_000;

const tooManyUnanswered = (): GatewayError =>
  new LimitRefusal("unanswered", { retryAfterMs: unansweredRetryMs }, "Too many messages are waiting for an answer.");

function handlerOf(handlers: ReadonlyMap<string, ClientHandler>, [name, error]: readonly unknown[]): ClientHandler {
  if (name === refused) throw error as GatewayError;
  const handler = typeof name === "string" ? handlers.get(name) : undefined;
  if (handler === undefined) throw wrong("event", "is unknown");
  return handler;
}

function argumentOf(event: readonly unknown[]): object {
  const [, argument] = event;
  if (event.length !== 2) throw wrong("argument", "expected exactly one argument");
  if (typeof argument !== "object" || argument === null || Array.isArray(argument)) {
    throw wrong("argument", "must be an object");
  }
  return argument;
}

/** What a message is about. Names of channels and boards may meet in one lane; that costs a wait and nothing else. */
function laneOf(message: unknown): string | undefined {
  if (typeof message !== "object" || message === null) return undefined;
  const { channel, board } = message as { channel?: unknown; board?: unknown };
  const name = channel ?? board;
  return typeof name === "string" ? name : undefined;
}
