import type { Identity } from "../auth/identity.ts";
import type { EphemeralMessage, FeedMessage } from "../channels/feed-message.ts";
import type { RestoredSubscriptions } from "../channels/subscription.ts";
import type { Subscriber } from "../channels/subscribers.ts";
import type { AroundCommand, CommandContext } from "../commands/command-executor.ts";
import { limiterOf, refusalOf } from "../commands/refusal.ts";
import type { ConnectionHooks } from "../connections/connection-hooks.ts";
import type { AppEvents, EventOutcome, ObserveEvent } from "../connections/dispatch.ts";
import type { Connection } from "../connections/connection.ts";
import type { ReturningClient } from "../connections/recovery-adapter.ts";
import type { LiveTraces, TraceFacts } from "../operator/live-traces.ts";
import type { GatewayError } from "../protocol/errors.ts";
import { subjectOfCommand } from "../protocol/command-subject.ts";
import type { Command } from "../protocol/commands.ts";
import type { Reason } from "../runtime/reason-log.ts";
import type { Spans } from "../runtime/spans.ts";

/**
 * What the parts of a node report to live traces. Each returns or does nothing while nobody traces: the cost is one
 * comparison.
 */

const elapsed = (since: number): number => Math.round((performance.now() - since) * 100) / 100;

const whoOf = ({ id, identity }: ReturningClient): Pick<TraceFacts, "connectionId" | "userId" | "sessionId"> => ({
  connectionId: id,
  userId: identity.userId,
  sessionId: identity.sessionId,
});

/** The rule or limiter that refused. */
function refusalFacts(error: unknown): Pick<TraceFacts, "code" | "rule" | "detail"> {
  const refusal = refusalOf(error);
  const limiter = limiterOf(refusal);
  const rule = refusal.reason?.rule ?? (limiter === "" ? undefined : `limit ${limiter}`);
  return { code: refusal.code, rule, detail: refusal.reason?.detail ?? refusal.message };
}

/** Refusals of handshakes and calls, and closings. Those of events come with the event. */
export const observeReasons =
  (traces: LiveTraces) =>
  ({ kind, operation, count: _count, ...reason }: Reason & { count?: unknown }): void => {
    if (!traces.isActive || kind === "event") return;
    if (kind === "closing") traces.record({ ...reason, kind });
    else if (kind === "handshake") traces.record({ ...reason, kind, step: "refused" });
    else traces.record({ ...reason, kind: "refusal", event: operation });
  };

/** Events of clients with their answers. */
export const observeEvents =
  (traces: LiveTraces): ObserveEvent =>
  (connection, event) => {
    if (!traces.isActive) return undefined;
    const startedAt = performance.now();
    const [name, ...args] = event;
    const channel = channelIn(args[0]);
    return (outcome) => {
      const facts = { ...whoOf(connection), channel, event: String(name), ms: elapsed(startedAt) };
      traces.record({ ...facts, kind: "event", args, ...answerFacts(outcome) });
      if (name === "subscribe") recordSubscribeRecovery(traces, facts, args[0], outcome);
    };
  };

const answerFacts = ({ answer, error }: EventOutcome): Partial<TraceFacts> =>
  error === undefined ? { answer } : refusalFacts(error);

function channelIn(argument: unknown): string | undefined {
  if (typeof argument !== "object" || argument === null) return undefined;
  const { channel, board } = argument as { channel?: unknown; board?: unknown };
  if (typeof channel === "string") return channel;
  return typeof board === "string" ? `leaderboard:${board}` : undefined;
}

/** A client that named its position: what it was given, or why not. */
function recordSubscribeRecovery(
  traces: LiveTraces,
  facts: Omit<TraceFacts, "kind">,
  argument: unknown,
  { answer }: EventOutcome,
): void {
  // Without an answer the argument may be anything; a list is the answer of an app to an event of its own.
  if (answer === undefined || Array.isArray(answer)) return;
  const { since } = argument as { since?: { epoch: string; offset: number } };
  if (since === undefined) return;
  const { epoch, offset, recovered, publications } = answer as RecoveredAnswer;
  traces.record({
    ...facts,
    kind: "recovery",
    recovered,
    from: `${since.epoch}:${since.offset}`,
    to: `${epoch}:${offset}`,
    missed: publications.length,
    detail: recovered ? undefined : whyNotRecovered(since, { epoch, offset }),
  });
}

interface RecoveredAnswer {
  epoch: string;
  offset: number;
  recovered: boolean;
  publications: readonly unknown[];
}

function whyNotRecovered(since: { epoch: string; offset: number }, now: { epoch: string; offset: number }): string {
  if (since.epoch !== now.epoch) return "the log was lost or reset since: another epoch";
  if (since.offset > now.offset) return "the position is ahead of the log";
  return "publications after the position are no longer kept";
}

/** Recoveries of stock clients. */
export const observeRecovery =
  (traces: LiveTraces) =>
  (connection: ReturningClient, from: number, restored: RestoredSubscriptions | string): void => {
    if (!traces.isActive) return;
    const facts = { ...whoOf(connection), kind: "recovery", from: String(from) } as const;
    if (typeof restored === "string") traces.record({ ...facts, recovered: false, detail: restored });
    else traces.record({ ...facts, recovered: true, to: String(restored.timestamp), missed: restored.missed.length });
  };

/** Commands from every door: a span each, and live traces. */
export const observeCommands =
  (traces: LiveTraces, spans: Spans): AroundCommand =>
  (command, context, run) => {
    const { type } = command;
    const attributes = { "tidegate.door": context.door, "tidegate.subject": subjectOfCommand(command) };
    const parent = context.traceparent;
    return spans.run(`command ${type}`, { parent, attributes }, () => traceCommand(traces, { command, context, run }));
  };

async function traceCommand<A extends object>(
  traces: LiveTraces,
  { command, context, run }: { command: Command; context: CommandContext; run: () => Promise<A> },
): Promise<A> {
  if (!traces.isActive) return run();
  const startedAt = performance.now();
  const record = (outcome: Partial<TraceFacts>): void => {
    const facts = { ...subjectOf(command), event: command.type, path: `${context.door} → log` };
    traces.record({ ...facts, kind: "command", ms: elapsed(startedAt), ...outcome });
  };
  try {
    const answer = await run();
    record(positionOf(answer));
    return answer;
  } catch (error) {
    record(refusalFacts(error));
    throw error;
  }
}

function subjectOf(command: Command): Pick<TraceFacts, "channel" | "userId" | "sessionId"> {
  if (command.type === "user.disconnect") return { userId: command.userId };
  if (command.type === "session.update" || command.type === "session.revoke") return { sessionId: command.sessionId };
  if (command.type === "score.submit") return { channel: `leaderboard:${command.board}`, userId: command.member };
  if (command.type === "publish") return { channel: command.channel, userId: command.from?.userId };
  return { channel: subjectOfCommand(command) };
}

function positionOf(answer: object): Pick<TraceFacts, "position"> {
  const { epoch, offset } = answer as { epoch?: string; offset?: number };
  return epoch === undefined || offset === undefined ? {} : { position: { epoch, offset } };
}

/** Publications that this node writes to its connections. */
export function recordDelivery(
  traces: LiveTraces,
  channel: string,
  message: FeedMessage | EphemeralMessage,
  { receivers, now }: { receivers: readonly Subscriber[]; now: number },
): void {
  traces.record({
    kind: "delivery",
    channel,
    receivers,
    ...("offset" in message ? loggedFacts(message, now) : { path: "node → connection", event: "ephemeral" }),
  });
}

const loggedFacts = ({ epoch, offset, timestamp }: FeedMessage, now: number): Partial<TraceFacts> => ({
  position: { epoch, offset },
  path: "log → node → connection",
  ms: Math.max(0, Math.round(now - timestamp / 1_000)),
});

/** The span of a publication on its way to the connections of this node; it ends after the writes of this tick. */
export function spanDelivery(
  spans: Spans,
  channel: string,
  message: FeedMessage | EphemeralMessage,
  receivers: number,
): void {
  const position = "offset" in message ? { "messaging.message.id": `${message.epoch}:${message.offset}` } : {};
  const attributes = { "messaging.destination.name": channel, ...position, "tidegate.receivers": receivers };
  setImmediate(spans.begin("deliver", { kind: "consumer", parent: message.traceparent, attributes }));
}

/** A subscription that the server ended. */
export const recordUnsubscribed = (
  traces: LiveTraces,
  { id: connectionId, userId }: Subscriber,
  channel: string,
  error: GatewayError,
): void => traces.record({ kind: "unsubscribed", connectionId, userId, channel, ...refusalFacts(error) });

/** Events that an app handles, in this process or over HTTP. */
export const withAppSpans = (app: AppEvents, spans: Spans): AppEvents => ({
  handlerOf(connection, event) {
    const handle = app.handlerOf(connection, event);
    const attributes = { "tidegate.event": event };
    return handle && ((args) => spans.run("app event", { attributes }, () => handle(args)));
  },
});

/** Connection hooks with spans, that also report the steps of a handshake and the end of a connection. */
export function withObservedHooks(hooks: ConnectionHooks, traces: LiveTraces, spans: Spans): ConnectionHooks {
  return {
    ...hooks,
    authenticate(token, caller) {
      const startedAt = performance.now();
      const authenticated = spans.run("handshake authenticate", { kind: "server" }, () =>
        hooks.authenticate(token, caller),
      );
      return traces.isActive ? recordAuthenticated(traces, startedAt, authenticated) : authenticated;
    },
    connected(connection, arrival) {
      const startedAt = performance.now();
      const attributes = { "network.protocol.name": connection.transport };
      const connected = spans.run("handshake connect", { kind: "server", attributes }, () =>
        hooks.connected(connection, arrival),
      );
      return traces.isActive ? recordConnected(traces, startedAt, { connection, connected }) : connected;
    },
    disconnected(connection, mayReturn, reason) {
      if (traces.isActive) traces.record({ ...whoOf(connection), kind: "disconnect", detail: reason });
      return hooks.disconnected(connection, mayReturn, reason);
    },
  };
}

async function recordAuthenticated(
  traces: LiveTraces,
  startedAt: number,
  authenticated: Promise<Identity>,
): Promise<Identity> {
  const identity = await authenticated;
  const { userId, sessionId } = identity;
  traces.record({ kind: "handshake", step: "authenticated", userId, sessionId, ms: elapsed(startedAt) });
  return identity;
}

async function recordConnected(
  traces: LiveTraces,
  startedAt: number,
  { connection, connected }: { connection: Connection; connected: Promise<void> },
): Promise<void> {
  await connected;
  const { address, transport } = connection;
  const step = connection.isOpen ? "ready" : "closed";
  traces.record({ ...whoOf(connection), kind: "handshake", step, address, transport, ms: elapsed(startedAt) });
}
