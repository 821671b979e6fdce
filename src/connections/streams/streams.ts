import type { ServerResponse } from "node:http";
import type { Channels } from "../../channels/channels.ts";
import type { Subscription } from "../../channels/subscription.ts";
import { catalogueCodeOf, closing, type Closing } from "../../protocol/closings.ts";
import { GatewayError, isTemporary, type ErrorCode } from "../../protocol/errors.ts";
import type { Position } from "../../protocol/scalars.ts";
import type { StateSnapshot } from "../../protocol/wire.ts";
import type { Cancel, Clock } from "../../runtime/clock.ts";
import type { Metrics } from "../../runtime/metrics.ts";
import { refusalOf, type RefusalDeps } from "../../commands/refusal.ts";
import type { Frame } from "../../engine/frames.ts";
import { EndOfTickFlusher } from "../../engine/end-of-tick.ts";
import type { ConnectionRegistry } from "../connections.ts";
import type { ErrorReporter } from "../error-reporter.ts";
import { InFlightCounter } from "../in-flight.ts";
import type { LifecycleHooks } from "../lifecycle.ts";
import { EventIdWriter, parseEventId, type EventId } from "./event-id.ts";
import { EventStream, type EventStreamContext } from "./event-stream.ts";
import { LongPoll, type PollEnd } from "./long-poll.ts";
import { userAgentOf, type OpeningRequest, type StreamAdmission, type StreamReader } from "./stream-admission.ts";
import { frameOf, StreamConnection, type StreamOutput } from "./stream-connection.ts";

export interface EventStreamRequest extends OpeningRequest {
  channels: readonly string[];
  /** From the header, which proxies do not log. */
  lastEventId: string | undefined;
  /** From the query: its resume key does not count. */
  position: string | undefined;
  headers: Readonly<Record<string, string>>;
}

export interface PollRequest extends OpeningRequest {
  channel: string;
  since: Position | undefined;
  /** Of the state that the client knows; undefined if it reads no state. */
  revision: number | undefined;
  waitMs: number;
}

export interface StreamsDeps {
  lifecycle: { [K in "onConnect" | "onDisconnect"]: LifecycleHooks[K] };
  admission: StreamAdmission;
  registry: ConnectionRegistry;
  channels: Pick<Channels, "subscribe" | "subscribeUnchecked" | "disconnect">;
  readState: (channel: string) => Promise<StateSnapshot>;
  isDraining: () => boolean;
  metrics: Pick<Metrics, "connections" | "handshakes" | "closings" | "skipped">;
  /** Omit to record no reasons. */
  reasons?: RefusalDeps["reasons"];
  failures: ErrorReporter;
  clock: Clock;
}

export interface StreamsOptions {
  nodeId: string;
  /** Max bytes that may wait for one client. */
  queueBytes: number;
  /** Max milliseconds until a stream that was ended has been read. */
  closeTimeoutMs: number;
}

/** When an `EventSource` reconnects after its connection was cut; browsers wait longer by themselves. */
const retryMs = 1_000;
/** Shorter than the silence after which proxies close a connection. */
const keepAliveMs = 15_000;

/**
 * Streams over plain HTTP. A stream is a connection as a socket is: the same admission, rights, quota, revocation, expiry
 * and drain, the same subscriptions and buffers; only what is written differs.
 */
export class Streams {
  readonly #deps: StreamsDeps;
  readonly #options: StreamsOptions;
  readonly #context: EventStreamContext;
  readonly #open = new Set<EventStream>();
  readonly #disconnecting = new InFlightCounter();
  #cancelKeepAlive: Cancel | undefined;

  constructor(deps: StreamsDeps, options: StreamsOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#context = {
      queueBytes: options.queueBytes,
      endOfTick: new EndOfTickFlusher((error) => deps.failures.report("stream.write", error)),
      onSkipped: ({ conflated, volatile }) => {
        deps.metrics.skipped.inc({ reason: "conflated" }, conflated);
        deps.metrics.skipped.inc({ reason: "volatile" }, volatile);
      },
    };
  }

  start(): void {
    this.#cancelKeepAlive = this.#deps.clock.every(keepAliveMs, () => {
      for (const stream of this.#open) stream.keepAlive();
    });
  }

  /** Resolves when nothing of any stream is left. */
  async stop(deadline: AbortSignal): Promise<void> {
    this.#cancelKeepAlive?.();
    const aborted = new Promise<void>((resolve) => deadline.addEventListener("abort", () => resolve(), { once: true }));
    if (!deadline.aborted) await Promise.race([this.#disconnecting.idle(), aborted]);
  }

  /** Answers with a stream of server-sent events. Throws a GatewayError if it is refused; nothing was sent then. */
  async stream(asked: EventStreamRequest): Promise<void> {
    const { response, headers } = asked;
    const id = parseEventId(asked.lastEventId ?? asked.position ?? "");
    const resumeKey = asked.lastEventId === undefined ? "" : (id?.resumeKey ?? "");
    const reader = await this.#deps.admission.admit(asked, asked.channels, resumeKey);
    if (reader === undefined) return;
    const ids = new EventIdWriter(reader.resumeKey);
    for (const channel of asked.channels) noteStart(ids, channel, id);
    let events!: EventStream;
    const connection = this.#connect(asked, reader, asked.channels, (own) => {
      events = new EventStream(response, ids, this.#context, () => own.readTooSlowly());
      return events;
    });
    response.writeHead(200, { ...eventStreamHeaders, ...headers });
    asked.request.socket.setKeepAlive(true, keepAliveMs).setNoDelay(true);
    // At different times, because many streams may be cut at once.
    events.retryAfter(Math.round(retryMs * (0.5 + Math.random())));
    this.#open.add(events);
    response.once("close", () => {
      this.#open.delete(events);
      events.destroy();
    });
    await this.#begin(connection, reader, async () => {
      connection.emit("ready", this.#readyOf(reader));
      for (const channel of asked.channels) {
        if (!connection.isOpen) return;
        await this.#subscribeTo(channel, { connection, reader, events }, id?.positionOf(channel));
      }
    });
  }

  /**
   * Resolves with the publications after a position as soon as there are some, or the channel's state has changed, or with
   * none after `waitMs`.
   */
  async poll(asked: PollRequest): Promise<Subscription> {
    const { channel, since, revision } = asked;
    const reader = await this.#deps.admission.admit(asked, [channel], "");
    if (reader === undefined) throw new GatewayError("unavailable");
    const output = new LongPoll();
    const connection = this.#connect(asked, reader, [channel], () => output);
    let answer: Subscription | undefined;
    let refusal: GatewayError | undefined;
    await this.#begin(connection, reader, async () => {
      try {
        answer = await this.#subscribe(connection, reader, channel, since);
      } catch (error) {
        const refused = refusalOf(error);
        if (mayEndMeanwhile(refused.code)) throw error;
        // A backend is admitted to any name: only the subscription tells that an order or a board does not exist.
        refusal = refused;
        connection.end();
      }
    });
    if (refusal !== undefined) throw refusal;
    if (answer === undefined) throw refusalAfter(await output.ended);
    const isWaiting = since !== undefined && answer.recovered && answer.publications.length === 0;
    if (isWaiting && isKnown(answer, revision)) {
      const end = await this.#waitFor(output, asked.waitMs);
      answer = withPublications(answer, end);
      if (end.hasState) answer = { ...answer, snapshot: await this.#deps.readState(channel) };
    }
    connection.end();
    return answer;
  }

  #waitFor(output: LongPoll, waitMs: number): Promise<PollEnd> {
    const cancel = this.#deps.clock.after(waitMs, () => output.finish(undefined));
    return output.ended.finally(cancel);
  }

  // Beginning

  #connect(
    { request: incoming, response, address }: OpeningRequest,
    { identity, isBackend }: StreamReader,
    channels: readonly string[],
    output: (connection: StreamConnection) => StreamOutput,
  ): StreamConnection {
    const { registry, metrics } = this.#deps;
    const handshake = { headers: incoming.headers, auth: {} };
    const client = { identity, address, userAgent: userAgentOf(incoming), handshake };
    const connection = new StreamConnection(client, channels, output, {
      onIdentity: (changed, previous) => registry.renew(changed, previous),
      clock: this.#deps.clock,
      onEnd: (ended, why) => this.#ended(ended, isBackend, why, response),
    });
    registry.add(connection);
    metrics.connections.inc({ transport: "stream" });
    metrics.handshakes.inc({ outcome: "accepted" });
    response.once("close", () => connection.end());
    return connection;
  }

  #begin(connection: StreamConnection, reader: StreamReader, run: () => Promise<void>): Promise<void> {
    return (connection.beginning = this.#run(connection, reader, run));
  }

  async #run(connection: StreamConnection, reader: StreamReader, run: () => Promise<void>): Promise<void> {
    const { lifecycle, isDraining, failures } = this.#deps;
    // `beginning` must be known before anything can end it.
    await Promise.resolve();
    try {
      if (!reader.isBackend)
        await lifecycle.onConnect?.(connection, { privateId: undefined, restored: undefined, namesItsChannels: true });
      else if (isDraining()) connection.close(closing("drain"));
      if (connection.isOpen) await run();
    } catch (error) {
      const { code } = refusalOf(error);
      // The last two: a subscription ended while it began; the next attempt is told.
      const mayRetry = isTemporary(code) || code === "not_subscribed" || code === "forbidden";
      if (code !== "internal" && mayRetry) return connection.end();
      failures.report("stream.connect", error);
      connection.close(closing("internal"));
    }
  }

  #ended(connection: StreamConnection, isBackend: boolean, why: Closing | undefined, response: ServerResponse): void {
    const { registry, metrics, channels, clock } = this.#deps;
    registry.remove(connection);
    metrics.connections.dec({ transport: "stream" });
    if (why !== undefined) this.#noteClosing(connection, why);
    if (isBackend) channels.disconnect(connection);
    else void this.#disconnect(connection, why);
    const cancel = clock.after(this.#options.closeTimeoutMs, () => response.destroy());
    response.once("close", cancel);
  }

  #noteClosing({ id: connectionId, address, identity }: StreamConnection, { code }: Closing): void {
    const { userId, sessionId } = identity;
    this.#deps.metrics.closings.inc({ code: catalogueCodeOf(code) });
    this.#deps.reasons?.record({ kind: "closing", code, connectionId, userId, sessionId, address });
  }

  /** What began too late for the hook would remain. */
  async #disconnect(connection: StreamConnection, why: Closing | undefined): Promise<void> {
    this.#disconnecting.begin();
    try {
      await connection.beginning;
      await this.#deps.lifecycle.onDisconnect?.(connection, why?.code ?? "stream closed", why?.reconnect ?? true);
    } catch (error) {
      this.#deps.failures.report("stream.disconnect", error);
    } finally {
      this.#disconnecting.end();
    }
  }

  // Subscribing

  /** One channel after the other, so that no more than one answer waits for a slow client. */
  async #subscribeTo(
    channel: string,
    { connection, reader, events }: { connection: StreamConnection; reader: StreamReader; events: EventStream },
    since: Position | undefined,
  ): Promise<void> {
    try {
      const answer = await this.#subscribe(connection, reader, channel, since);
      if (connection.isOpen) await events.addAnswer(framesOf(answer));
    } catch (error) {
      const { code, message } = refusalOf(error);
      if (code === "internal" || isTemporary(code)) throw error;
      connection.emit("unsubscribed", { channel, code, message });
    }
  }

  #subscribe(
    connection: StreamConnection,
    { isBackend }: StreamReader,
    channel: string,
    since: Position | undefined,
  ): Promise<Subscription> {
    const { channels } = this.#deps;
    if (isBackend) return channels.subscribeUnchecked(connection, channel, { since });
    return channels.subscribe(connection, connection.identity, channel, since);
  }

  #readyOf({ identity, isBackend }: StreamReader): object {
    const { userId, sessionId, expiresAt } = identity;
    const own = { nodeId: this.#options.nodeId, serverTime: this.#deps.clock.now() };
    return isBackend ? own : { ...own, userId, sessionId, expiresAt };
  }
}

const eventStreamHeaders = {
  "Content-Type": "text/event-stream; charset=utf-8",
  "Cache-Control": "no-store, no-transform",
  // nginx and others would collect events before they pass them on.
  "X-Accel-Buffering": "no",
  "X-Content-Type-Options": "nosniff",
};

/** What the client had read before is where it stands, until it has read more. */
function noteStart(ids: EventIdWriter, channel: string, id: EventId | undefined): void {
  const position = id?.positionOf(channel);
  if (position !== undefined) ids.note(channel, position);
}

function framesOf({ publications, ...answer }: Subscription): Frame[] {
  const subscribed = frameOf("subscribed", { ...answer, missed: publications.length });
  return [subscribed, ...publications.map((publication) => frameOf("publication", publication))];
}

/** Whether another poll may be answered; a client that left meanwhile is told nothing. */
const mayEndMeanwhile = (code: ErrorCode): boolean =>
  code === "internal" || code === "not_subscribed" || isTemporary(code);

/** Whether the client has the state that the answer contains. */
function isKnown({ snapshot }: Subscription, revision: number | undefined): boolean {
  return revision === undefined || revision === (snapshot as StateSnapshot | undefined)?.revision;
}

/** What came while the poll waited; nothing if it was ended for a reason that another poll gets over. */
function withPublications(answer: Subscription, end: PollEnd): Subscription {
  const { publications, closing: why, unsubscribed } = end;
  const last = publications.at(-1);
  if (last !== undefined) return { ...answer, epoch: last.epoch, offset: last.offset, publications: [...publications] };
  if (why?.reconnect === false || (unsubscribed !== undefined && unsubscribed.code === "forbidden"))
    throw refusalAfter(end);
  return answer;
}

function refusalAfter({ closing: why, unsubscribed }: PollEnd): GatewayError {
  if (unsubscribed?.code === "forbidden") return new GatewayError("forbidden", undefined, { field: "channel" });
  if (why === undefined || why.reconnect) return new GatewayError("unavailable", undefined, { retryAfterMs: 1_000 });
  return new GatewayError(why.code === "token_revoked" ? "token_revoked" : "session_expired");
}
