import type { Server } from "node:http";
import type { Server as SocketIoServer } from "socket.io";
import { InProcessEvents, type EventHandler } from "./app/app-events.ts";
import { toAppServer } from "./app/app-server.ts";
import type { HookRegistry } from "./app/hooks.ts";
import { loadConfig, type Config } from "./config.ts";
import { ConfigError, type Problem } from "./config/problems.ts";
import { didYouMean } from "./config/suggestion.ts";
import { createAppCalls, type AppCalls } from "./gateway/app-calls.ts";
import type { CallRoute } from "./http/call-route.ts";
import type { Published } from "./channels/publication.ts";
import { createNode, type GatewayNode, type NodeOptions } from "./gateway.ts";
import type {
  AppAnswerInput,
  Contract,
  EventOutput,
  OpenContract,
  PublicationInput,
} from "./protocol/contract/contract.ts";
import type { OutputOf, StandardSchema } from "./protocol/contract/standard-schema.ts";
import type { CommandAnswers } from "./commands/command-executor.ts";
import type { CommandOf } from "./protocol/commands.ts";
import { createLogger, type Logger } from "./runtime/logger.ts";
import { unsupportedNodeMessage } from "./runtime/version.ts";

/** Options of a gateway in this process. Everything else has the defaults of `docs/settings.md`. */
export interface GatewayOptions<C extends Contract = OpenContract> {
  /** URL of Redis. @default an embedded server, for development */
  redis?: string;
  jwt?: { secret: string };
  /** Named API keys of backends over HTTP, such as `{ shop: "…" }`. */
  apiKeys?: Readonly<Record<string, string>>;
  /** Origins of browsers that may connect. @default any */
  allowedOrigins?: readonly string[];
  /** Prefix of the keys in Redis; gateways with the same prefix are nodes of one cluster. @default "gateway" */
  keyPrefix?: string;
  /** An HTTP server to attach to; it must already have the listener of its application. @default a server of its own */
  server?: Server;
  /** Channel kinds, as in the configuration file. */
  channels?: object;
  /** What clients, backends and this app may send; from `defineContract`. @default anything */
  contract?: C;
  /** Other sections of the configuration file, such as `limits` or `leaderboards`. */
  config?: object;
  /** Other settings by the name of their environment variable, such as `NODE_ENV` or `REDIS_TLS_CA_FILE`. */
  env?: Readonly<Record<string, string | undefined>>;
  /** @default JSON lines on standard output, of warnings and errors */
  log?: Logger;
}

export type Publication = Omit<CommandOf<"publish">, "type">;
export type PublicationOf<C extends Contract, Channel extends string> = { channel: Channel } & PublicationInput<
  C,
  Channel
> &
  Omit<Publication, "channel" | "event" | "data">;

export interface Publish<C extends Contract = OpenContract> {
  /** Publishes later. */
  <Channel extends string>(
    publication: PublicationOf<C, Channel> & ({ delayMs: number } | { publishAt: number }),
  ): Promise<{ scheduleId: string; publishAt: number }>;
  /** Resolves with the position of the publication. */
  <Channel extends string>(publication: PublicationOf<C, Channel> & { ephemeral?: false }): Promise<Published>;
  /** An ephemeral publication has no position. */
  <Channel extends string>(publication: PublicationOf<C, Channel>): Promise<CommandAnswers["publish"]>;
}

/** A gateway in this process, for clients on every node that uses the same Redis and key prefix. */
export interface Gateway<C extends Contract = OpenContract> extends AppCalls {
  /** The Socket.IO server: rooms, namespaces, middleware and acknowledgements. A room named as a channel is one. */
  readonly io: SocketIoServer;
  /** Handles an event. What the handler returns is the acknowledgement. */
  on<S extends StandardSchema, Rest extends unknown[]>(
    event: string,
    schema: S,
    handler: EventHandler<Publish<C>, [OutputOf<S>, ...Rest]>,
  ): void;
  /** With a contract: handles one of its events. */
  on<Name extends keyof C["events"] & string>(
    event: Name,
    handler: EventHandler<
      Publish<C>,
      [EventOutput<C, Name>, ...unknown[]],
      AppAnswerInput<C, Name> | Promise<AppAnswerInput<C, Name>>
    >,
  ): void;
  on<Args extends unknown[]>(
    event: keyof C["events"] extends never ? string : never,
    handler: EventHandler<Publish<C>, Args>,
  ): void;
  /** Decides before clients connect, subscribe and publish. */
  readonly hooks: HookRegistry;
  publish: Publish<C>;
  /** Starts to accept connections, once. With a `server` of your own, it listens that server. */
  listen(port?: number, host?: string): Promise<void>;
  /** Base URL, once it listens. */
  readonly url: string;
  /** Moves clients to other nodes and stops. Resolves with false if that took longer than the drain timeout. */
  close(): Promise<boolean>;
}

/**
 * Creates a gateway. With `server`, it is started and attached when this resolves; otherwise `listen` starts it. Rejects if the
 * options are wrong, or Node is too old.
 */
export async function createGateway<C extends Contract = OpenContract>(
  options: GatewayOptions<C> = {},
): Promise<Gateway<C>> {
  const unsupported = unsupportedNodeMessage(process.versions.node);
  if (unsupported !== undefined) throw new Error(unsupported);
  const { server, contract, log = createLogger({ level: "warn" }) } = options;
  const { node, gateway } = await createAppNode<C>(checkedConfigOf(options), { log, server, contract });
  if (server !== undefined) await node.start();
  return gateway;
}

const optionNames: readonly string[] = [
  "redis",
  "jwt",
  "apiKeys",
  "allowedOrigins",
  "keyPrefix",
  "server",
  "channels",
  "contract",
  "config",
  "env",
  "log",
] satisfies (keyof GatewayOptions)[];

/** A misspelled option would leave its default, such as any origin. */
function unknownOptions(options: object): Problem[] {
  const unknown = Object.keys(options).filter((name) => !optionNames.includes(name));
  return unknown.map((name) => ({ name, message: `unknown option${didYouMean(name, optionNames)}` }));
}

/** Throws ConfigError with everything that is wrong. */
function checkedConfigOf(options: Omit<GatewayOptions, "contract">): Config {
  const problems = unknownOptions(options);
  try {
    const config = configOf(options);
    if (problems.length === 0) return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    problems.push(...error.problems);
  }
  throw new ConfigError(problems);
}

/** Creates a node, and the gateway that an app in this process sees of it. */
export async function createAppNode<C extends Contract = OpenContract>(
  config: Config,
  options: Omit<NodeOptions, "app">,
): Promise<{ node: GatewayNode; gateway: Gateway<C> }>;
// The types of a contract are for the app; what they promise is checked when the gateway runs.
export async function createAppNode(
  config: Config,
  options: Omit<NodeOptions, "app">,
): Promise<{ node: GatewayNode; gateway: Gateway }> {
  const call: CallRoute = (operationId, request) => node.callRoute(operationId, request);
  const calls = createAppCalls(call);
  const publish = ((publication) => call("publish", publication)) as Publish;
  const events = new InProcessEvents<Publish>({ publish, calls }, config);
  const node = await createNode(config, { ...options, app: events });
  return { node, gateway: gatewayOf(node, events, { publish, calls, server: options.server }) };
}

/** The options as the settings of a node, so that they are validated like those. Throws ConfigError. */
export function configOf({
  redis,
  jwt,
  apiKeys = {},
  allowedOrigins,
  keyPrefix,
  channels,
  config,
  env,
}: GatewayOptions) {
  const keys = Object.entries(apiKeys).map(([name, secret]) => `${name}:${secret}`);
  const variables = {
    REDIS_URL: redis,
    JWT_SECRET: jwt?.secret,
    API_KEYS: keys.length === 0 ? undefined : keys.join(","),
    ALLOWED_ORIGINS: allowedOrigins?.join(","),
    KEY_PREFIX: keyPrefix,
    DEMO: "false",
    GATEWAY_CONFIG: "options",
    ...env,
  };
  return loadConfig(variables, () => JSON.stringify({ ...config, ...(channels !== undefined && { channels }) }));
}

interface GatewayParts {
  publish: Publish;
  calls: AppCalls;
  server: Server | undefined;
}

function gatewayOf(
  node: GatewayNode,
  events: InProcessEvents<Publish>,
  { publish, calls, server }: GatewayParts,
): Gateway {
  return {
    io: toAppServer(node.io, () => node.drain()),
    on(event: string, ...given: [unknown, unknown?]) {
      const [schema, handler] = given.length > 1 ? given : [undefined, given[0]];
      events.on(event, schema as StandardSchema | undefined, handler as EventHandler<Publish, never[]>);
    },
    hooks: {
      connect: (hook) => node.hooks.add("connect", hook),
      subscribe: (hook) => node.hooks.add("subscribe", hook),
      publish: (hook) => node.hooks.add("publish", hook),
    },
    publish,
    ...calls,
    async listen(port = 0, host) {
      if (server !== undefined) return listenTo(server, port, host);
      node.listenOn({ port, host });
      await node.start();
    },
    get url() {
      return node.url;
    },
    close: () => node.drain(),
  };
}

const listenTo = (server: Server, port: number, host: string | undefined): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
