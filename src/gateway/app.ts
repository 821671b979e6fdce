import { createAppAdapter } from "../app/app-adapter.ts";
import type { AppClient, AppClientDeps } from "../app/app-client.ts";
import { AppHooks } from "../app/hooks.ts";
import { HttpEvents } from "../app/http-events.ts";
import type { AskApp, Principal } from "../channels/permissions.ts";
import { checkEvent } from "../channels/publication-limit.ts";
import type { CommandIngress } from "../commands/command-ingress.ts";
import type { Config } from "../config.ts";
import { ChannelRooms } from "../connections/channel-rooms.ts";
import { appUserOf, type Connection } from "../connections/connection.ts";
import type { AppEvents } from "../connections/dispatch.ts";
import { ErrorReporter } from "../connections/error-reporter.ts";
import { GatewayError } from "../protocol/errors.ts";
import { checkNoBinary } from "../protocol/no-binary.ts";
import { createCircuitBreaker } from "../redis/circuit-breaker.ts";
import { isOfOutage } from "../redis/outage-log.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/logger.ts";
import type { Metrics } from "../runtime/metrics.ts";
import { createPacedWarnings } from "../runtime/paced-warnings.ts";
import type { Spans } from "../runtime/spans.ts";
import type { CoreServices } from "./core-services.ts";
import type { NodeContext } from "./node-context.ts";

/** How a node reaches the app, in this process or over HTTP. */
export interface AppAccess {
  /** Undefined without an app over HTTP. */
  client: AppClient | undefined;
  hooks: AppHooks;
}

/** Max time for a hook in this process to answer. */
const timeoutMs = 5_000;

export async function createAppAccess(
  { app, nodeId, limits }: Config,
  { spans, metrics, clock, log }: { spans: Spans; metrics: Pick<Metrics, "appLatency">; clock: Clock; log: Logger },
): Promise<AppAccess> {
  const breaker = createCircuitBreaker({ clock, log }, "the app");
  const onAnswered = (type: string, outcome: string, seconds: number): void =>
    metrics.appLatency.observe({ type, outcome }, seconds);
  const client = app && (await createAppClient({ breaker, spans, clock, onAnswered }, app));
  const { payloadBytes } = limits;
  const own = { hooks: [], timeoutMs, headers: undefined };
  return { client, hooks: new AppHooks({ client, clock }, { ...own, ...app, nodeId, payloadBytes }) };
}

/** Imports it only for an app over HTTP, because its HTTP client is 115 modules. */
async function createAppClient(deps: AppClientDeps, options: NonNullable<Config["app"]>): Promise<AppClient> {
  const { AppClient: Client } = await import("../app/app-client.ts");
  return new Client(deps, options);
}

/** Asks the app about channels whose kind says `hook`. */
export const askAppOf =
  ({ hooks }: AppAccess): AskApp =>
  ({ principal, subscriber, ...asked }) =>
    // A subscriber of this node is always a connection.
    hooks.judge({ ...asked, user: userOf(principal), connection: subscriber as Connection | undefined });

const userOf = ({ userId, sessionId = "", roles = [], info }: Principal) =>
  appUserOf({ userId, sessionId, roles, info });

/** Max time for a client to send its handshake. */
const connectTimeoutMs = 5_000;

/** The app may take its time to answer its connect hook. */
export const connectTimeoutOf = ({ app }: Config): number =>
  connectTimeoutMs + (app?.hooks.includes("connect") === true ? app.timeoutMs : 0);

export interface AppParts {
  /** Omit if no app runs in this process. */
  app: AppEvents | undefined;
  access: AppAccess;
  services: CoreServices;
  ingress: Pick<CommandIngress, "executor">;
}

/** The app in this process, else the one that is configured. */
export function appOf({ config }: NodeContext, { app, access, services, ingress }: AppParts): AppEvents | undefined {
  const { client } = access;
  if (app !== undefined || client === undefined || config.app === undefined) return app;
  const { kinds, channels } = services;
  const { executor } = ingress;
  return new HttpEvents(
    {
      client,
      checkPublish(publication, at) {
        checkEvent(kinds, publication);
        executor.encode(publication, at);
      },
      publish: (publication) => executor.perform({ type: "publish", ...publication }, { door: "app" }),
      checkSubscribe({ subscriber }, channel, others) {
        kinds.of(channel);
        const all = new Set([...channels.channelsOf(subscriber), ...others, channel]);
        // In addition to the user's own channel.
        if (all.size > config.limits.subscriptionsPerConnection + 1) throw new GatewayError("subscription_limit");
      },
      async subscribe(connection, channel) {
        await channels.subscribeUnchecked(connection.subscriber, channel, { by: "app" });
        connection.join(channel);
      },
      unsubscribe: ({ subscriber }, channel) =>
        channels.forceUnsubscribe(subscriber, channel, new GatewayError("forbidden")),
    },
    { ...config.app, nodeId: config.nodeId },
  );
}

/** Rooms of an app: those named as channels are publications. */
export function createAppRoomAdapter(
  base: Parameters<typeof createAppAdapter>[0],
  context: NodeContext,
  { services, ingress }: Pick<AppParts, "services" | "ingress">,
) {
  const failures = new ErrorReporter(context);
  const warn = createPacedWarnings(context.log, { everyMs: 60_000, now: () => context.clock.monotonic() });
  return createAppAdapter(base, {
    isChannel: (room) => services.kinds.has(room),
    publish(publication) {
      const publish = async (): Promise<object> => {
        checkNoBinary(publication.data, "data");
        return ingress.executor.perform({ type: "publish", ...publication }, { door: "app" });
      };
      const { channel, event } = publication;
      publish().catch((error: unknown) => failures.report("app.publish", lostBy(error), { channel, event }));
    },
    severalArguments(channel, event) {
      // Clients read `publication` anew anyway; the listeners of an event are those of before.
      if (services.kinds.of(channel).deliver === "event")
        warn(
          { channel, event },
          "clients receive the arguments of an app's event as one list, because it is a publication",
        );
    },
    notExcepted(channel, rooms) {
      const message = "except: a publication can be kept from connections and users, not from rooms";
      failures.report("app.except", new GatewayError("bad_request", message, { field: "except" }), { channel, rooms });
    },
  });
}

/** Nobody else is told of the event: unlike other errors of an outage, this one is logged. */
const lostBy = (error: unknown): unknown => (isOfOutage(error) ? new Error(`not published: ${String(error)}`) : error);

/** Rooms that sockets are made to join: those named as channels are subscriptions. */
export function createChannelRooms(context: NodeContext, { kinds, channels }: CoreServices): ChannelRooms {
  const failures = new ErrorReporter(context);
  return new ChannelRooms({
    isChannel: (room) => kinds.has(room),
    isSubscribed: ({ subscriber }, channel) => channels.channelsOf(subscriber).includes(channel),
    subscribe: ({ subscriber }, channel) => channels.subscribeUnchecked(subscriber, channel, { by: "app" }),
    unsubscribe: ({ subscriber }, channel) => channels.unsubscribe(subscriber, channel),
    report: (place, error, details) => failures.report(place, error, details),
  });
}
