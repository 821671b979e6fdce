import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { availableParallelism, hostname } from "node:os";
import {
  isDevelopmentSource,
  readApiKeys,
  readOperators,
  readTokenSettings,
  type ApiKey,
  type TokenSettings,
} from "./config/credentials.ts";
import {
  createEnvironmentReader,
  quoted,
  type Environment,
  type EnvironmentReader,
  type ReadFile,
} from "./config/environment.ts";
import { readConfigFile, type FileConfig } from "./config/file.ts";
import { readAllowedOrigins, readHost, readTrustedProxies } from "./config/network.ts";
import { ConfigError, type Problem } from "./config/problems.ts";
import { readRedisAddress } from "./config/redis.ts";
import type { OperatorAccount } from "./operator/operators.ts";
import type { RedisAddress } from "./redis/addresses.ts";
import type { SettingSources } from "./config/sources.ts";
import { unknownVariables } from "./config/unknown-variables.ts";
import { variables } from "./config/variables.ts";
import { hasReadableLogin, unreadableLogin } from "./config/values.ts";
import { storeKinds, type StoreKind } from "./redis/embedded.ts";
import { logLevels, type LogLevel } from "./runtime/logger.ts";
import type { AllowedOrigins } from "./engine/origins.ts";

/** All settings of a node, validated and frozen. Settings of the JSON file are described in `config/file.ts`. */
export interface Config extends FileConfig {
  readonly isProduction: boolean;
  readonly nodeId: string;
  readonly logLevel: LogLevel;
  readonly host: string;
  /** 0 chooses a free port. */
  readonly port: number;
  /** Number of worker processes that share the port. */
  readonly workers: number;
  /** Whether each worker has its own subscriptions in Redis, or all share one feed. */
  readonly workerFeed: "own" | "shared";
  /** Separate address of `/metrics`; undefined serves it on the public port. */
  readonly metrics: { readonly host: string; readonly port: number } | undefined;
  readonly allowedOrigins: AllowedOrigins;
  readonly trustedProxies: readonly string[];
  /** Undefined starts an embedded server. */
  readonly redis: RedisAddress | undefined;
  /** `external`: the provider persists data in ways that Redis does not report. */
  readonly durability: "append-only" | "external";
  /** Kind of the embedded server; `auto` chooses the first available. */
  readonly embeddedStore: StoreKind | "auto";
  readonly keyPrefix: string;
  /** Database with the outbox; undefined if there is none. */
  readonly outbox: { readonly url: string } | undefined;
  readonly tokens: TokenSettings & FileConfig["tokens"];
  readonly apiKeys: readonly ApiKey[];
  /** Serves the demo, whose login accepts any name. */
  readonly demo: boolean;
  readonly drainTimeoutMs: number;
  /** Empty: no operator API and no console. */
  readonly operators: readonly OperatorAccount[];
  readonly console: {
    /** Where the console is served instead of on the public port. */
    readonly address: { readonly host: string; readonly port: number } | undefined;
    /** Whether viewers see the payloads of publications and dead letters. */
    readonly payloads: "mask" | "show";
  };
  /** Which variables and which settings of the file are set; all others have their defaults. */
  readonly sources: SettingSources;
  /** A module whose default export receives the gateway before it accepts connections. */
  readonly appFile: string | undefined;
  /** A module whose default export is a contract, which checks what is sent. */
  readonly contractFile: string | undefined;
  /** Path of the compiled accelerator, or "off"; undefined uses one compiled in this checkout, if any. */
  readonly accelerator: string | undefined;
}

const readTextFile: ReadFile = (path) => readFileSync(path, "utf8");

/** Reads the environment and the JSON file. Throws ConfigError with all problems; nothing has started by then. */
export function loadConfig(environment: Environment, readFile: ReadFile = readTextFile): Config {
  const problems: Problem[] = [];
  const env = createEnvironmentReader(environment, problems);
  const isProduction = readIsProduction(env);
  const trust = {
    redis: readRedisAddress(env, readFile, isProduction),
    tokens: readTokenSettings(env, readFile, isProduction),
    apiKeys: readApiKeys(env, isProduction),
  };
  const config = {
    isProduction,
    ...readNode(env),
    ...readListeners(env),
    operators: readOperators(env, isProduction),
    console: readConsole(env),
    workers: readWorkers(env),
    workerFeed: env.oneOf("WORKER_FEED", ["own", "shared"]) ?? "own",
    appFile: env.text("APP_FILE"),
    contractFile: env.text("CONTRACT_FILE"),
    accelerator: env.text("ACCELERATOR"),
    allowedOrigins: readAllowedOrigins(env, isProduction),
    trustedProxies: readTrustedProxies(env),
    durability: env.oneOf("DURABILITY", ["append-only", "external"]) ?? "append-only",
    outbox: readOutbox(env),
    demo: readDemo(env, isProduction, trust),
    ...trust,
  };
  checkPorts(env, config);
  const file = readConfigFile(env, readFile, isProduction);
  // A missing setting may be present under a misspelled name.
  if (file === undefined || problems.length > 0)
    throw new ConfigError([...problems, ...unknownVariables(environment, variables)]);
  const set = variables.filter((name) => env.text(name) !== undefined);
  const { given, ...settings } = file;
  const sources = { environment: set, file: given };
  return deepFreeze({ ...config, ...settings, sources, tokens: { ...config.tokens, ...settings.tokens } });
}

function readOutbox(env: EnvironmentReader): Config["outbox"] {
  const url = env.text("OUTBOX_URL");
  if (url === undefined) return undefined;
  // Not shown, because it may contain a password.
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url))
    env.problem("OUTBOX_URL", "must be the address of a Postgres database: postgres://user:password@host/database");
  else if (!hasReadableLogin(url)) env.problem("OUTBOX_URL", unreadableLogin);
  return { url };
}

/** Enabled by default only if nothing is at stake: development secret and embedded server. */
function readDemo(
  env: EnvironmentReader,
  isProduction: boolean,
  { redis, tokens }: Pick<Config, "redis"> & { tokens: TokenSettings },
): boolean {
  const isAsked = env.oneOf("DEMO", ["true", "false"]);
  if (isAsked === "true" && tokens.source.type !== "secret")
    env.problem("DEMO", "signs users in, which requires JWT_SECRET instead of a public key or JWKS_URI");
  if (isAsked !== undefined) return isAsked === "true";
  return !isProduction && redis === undefined && isDevelopmentSource(tokens.source);
}

/** Other values are a problem: `prod` must not run with development secrets. */
function readIsProduction(env: EnvironmentReader): boolean {
  return env.oneOf("NODE_ENV", ["production", "development", "test"]) === "production";
}

function readNode(
  env: EnvironmentReader,
): Pick<Config, "nodeId" | "logLevel" | "drainTimeoutMs" | "keyPrefix" | "embeddedStore"> {
  return {
    nodeId: readName(env, "NODE_ID", /^[\w.-]{1,64}$/, "1 to 64 letters, digits, dots and dashes") ?? freshNodeId(),
    keyPrefix:
      readName(env, "KEY_PREFIX", /^[\w.:-]{1,64}$/, "1 to 64 letters, digits, dots, dashes and colons") ?? "gateway",
    logLevel: env.oneOf("LOG_LEVEL", logLevels) ?? "info",
    drainTimeoutMs: env.integer("DRAIN_TIMEOUT_MS", { min: 0, max: 3_600_000 }) ?? 30_000,
    embeddedStore: env.oneOf("EMBEDDED_STORE", ["auto", ...storeKinds]) ?? "auto",
  };
}

function readName(env: EnvironmentReader, name: string, form: RegExp, words: string): string | undefined {
  const value = env.text(name);
  if (value !== undefined && !form.test(value)) env.problem(name, `must be ${words}, not ${quoted(value)}`);
  return value;
}

/** Host names may contain characters that node ids may not; the random part distinguishes nodes of one host. */
const freshNodeId = (): string =>
  `${hostname()
    .replaceAll(/[^\w.-]/g, "-")
    .slice(0, 48)}-${randomBytes(4).toString("hex")}`;

function readListeners(env: EnvironmentReader): Pick<Config, "host" | "port" | "metrics"> {
  const host = readHost(env, "HOST") ?? "0.0.0.0";
  const port = env.integer("PORT", { min: 0, max: 65_535 }) ?? 3_000;
  const metricsPort = env.integer("METRICS_PORT", { min: 0, max: 65_535 });
  // Loopback by default, because metrics contain names of nodes and routes.
  const metricsHost = readHost(env, "METRICS_HOST") ?? "127.0.0.1";
  return { host, port, metrics: metricsPort === undefined ? undefined : { host: metricsHost, port: metricsPort } };
}

/** 0 is another port each time. */
function checkPorts(env: EnvironmentReader, { port, metrics, console }: Pick<Config, "port" | "metrics" | "console">) {
  const taken = new Map([[port, "PORT"]]);
  for (const [name, address] of [["METRICS_PORT", metrics] as const, ["CONSOLE_PORT", console.address] as const]) {
    if (address === undefined || address.port === 0) continue;
    const other = taken.get(address.port);
    if (other !== undefined) env.problem(name, `must differ from ${other}`);
    taken.set(address.port, name);
  }
}

/** More workers would not be faster. */
export const maxWorkers = 128;

function readConsole(env: EnvironmentReader): Config["console"] {
  const port = env.integer("CONSOLE_PORT", { min: 0, max: 65_535 });
  // Loopback by default, as for metrics.
  const host = readHost(env, "CONSOLE_HOST") ?? "127.0.0.1";
  const payloads = env.oneOf("CONSOLE_PAYLOADS", ["mask", "show"]) ?? "mask";
  return { address: port === undefined ? undefined : { host, port }, payloads };
}

function readWorkers(env: EnvironmentReader): number {
  const value = env.text("WORKERS") ?? "1";
  if (value === "auto") return Math.min(availableParallelism(), maxWorkers);
  const count = /^\d{1,3}$/.test(value) ? Number(value) : 0;
  if (count < 1 || count > maxWorkers)
    env.problem("WORKERS", `must be auto or a whole number from 1 to ${maxWorkers}, not ${quoted(value)}`);
  return count;
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.values(value).forEach(deepFreeze);
  return Object.freeze(value);
}
