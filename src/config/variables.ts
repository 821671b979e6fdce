/** A variable of the environment, in the Markdown of `docs/`. */
export interface VariableDescription {
  readonly meaning: string;
  /** In code if it is a value that the variable may have. */
  readonly default: string;
  /** The setting that it sets, as the console names it, or a group of settings. */
  readonly setting?: string;
  /** Whether production does not start without it, or one like it. */
  readonly isRequiredInProduction?: true;
}

/** Every variable the gateway reads. */
export const variableDescriptions = {
  NODE_ENV: {
    setting: "isProduction",
    default: "`development`",
    meaning: "`production` refuses to start without the settings marked †",
  },
  PORT: { setting: "port", default: "`3000`", meaning: "port of clients and backends; `0` picks a free one" },
  HOST: { setting: "host", default: "`0.0.0.0`", meaning: "address to listen on; `::` listens on IPv6 and IPv4" },
  REDIS_URL: {
    setting: "redis",
    default: "unset",
    isRequiredInProduction: true,
    meaning:
      "`redis://`, `rediss://` (TLS) or `unix:///path`, with user, password and database if needed ([below](#redis-connection)). " +
      "If unset outside production, the gateway starts an embedded store",
  },
  REDIS_HOST: { setting: "redis", default: "unset", meaning: "host of Redis, instead of `REDIS_URL`" },
  REDIS_PORT: { setting: "redis", default: "`6379`", meaning: "port, with `REDIS_HOST`" },
  REDIS_USERNAME: {
    setting: "redis",
    default: "unset",
    meaning: "user, if `REDIS_URL` does not specify it; also with `REDIS_HOST` or the sentinels",
  },
  REDIS_PASSWORD: {
    setting: "redis",
    default: "unset",
    meaning: "password, used literally, if `REDIS_URL` does not specify it; also with `REDIS_HOST` or the sentinels",
  },
  REDIS_DB: {
    setting: "redis",
    default: "database 0",
    meaning: "database, if `REDIS_URL` does not specify it; also with `REDIS_HOST` or the sentinels",
  },
  REDIS_TLS: {
    setting: "redis",
    default: "`false`",
    meaning: "`true` enables TLS with `REDIS_HOST`, or with sentinels without `REDIS_URL`",
  },
  REDIS_TLS_CA_FILE: {
    setting: "redis",
    default: "the system's CAs",
    meaning: "PEM file with the certificate authorities to trust",
  },
  REDIS_TLS_CERT_FILE: {
    setting: "redis",
    default: "unset",
    meaning: "PEM file with the client certificate, for a Redis that requires one",
  },
  REDIS_TLS_KEY_FILE: {
    setting: "redis",
    default: "unset",
    meaning: "PEM file with the key of the client certificate",
  },
  REDIS_TLS_SERVER_NAME: {
    setting: "redis",
    default: "the host",
    meaning: "the name expected in server certificates, if it is not the host, for example behind a tunnel",
  },
  REDIS_SENTINELS: {
    setting: "redis",
    default: "unset",
    meaning:
      "`host:port,…`. An additional `REDIS_URL` provides login, database and TLS; its host is not used. Counts as the address " +
      "that production requires",
  },
  REDIS_SENTINEL_NAME: { setting: "redis", default: "unset", meaning: "name of the primary, with `REDIS_SENTINELS`" },
  REDIS_SENTINEL_USERNAME: { setting: "redis", default: "unset", meaning: "user for the sentinels themselves" },
  REDIS_SENTINEL_PASSWORD: { setting: "redis", default: "unset", meaning: "password for the sentinels themselves" },
  DURABILITY: {
    setting: "durability",
    default: "`append-only`",
    meaning:
      "`external`: the provider persists the data in a way that Redis does not report; a missing append-only file is then not " +
      "reported",
  },
  EMBEDDED_STORE: {
    setting: "embeddedStore",
    default: "`auto`",
    meaning: "the store to start if `REDIS_URL` is unset; `auto` is the first one available",
  },
  OUTBOX_URL: {
    setting: "outbox.url",
    default: "unset",
    meaning: "Postgres database with [the outbox](backends.md#the-postgres-outbox); requires the package `pg`",
  },
  KEY_PREFIX: {
    setting: "keyPrefix",
    default: "`gateway`",
    meaning: "prefix of every key, so that several gateways can share a Redis",
  },
  JWT_SECRET: {
    setting: "tokens.source",
    default: "a well-known one",
    isRequiredInProduction: true,
    meaning:
      "signs and verifies tokens (HS256); at least 32 bytes in production. The gateway can issue tokens only with a secret",
  },
  JWT_ADDITIONAL_SECRETS: {
    setting: "tokens.source",
    default: "unset",
    meaning:
      "further secrets, separated by commas, whose tokens are accepted too, during [rotation](rotating-secrets.md#jwt_secret)",
  },
  JWT_PUBLIC_KEY_FILE: {
    setting: "tokens.source",
    default: "unset",
    isRequiredInProduction: true,
    meaning:
      "instead: PEM file with the public key of the token issuer: RSA with at least 2048 bits, P-256 or " +
      "Ed25519. Several keys one after the other are all accepted, for [rotation](rotating-secrets.md#jwt_public_key_file)",
  },
  JWKS_URI: {
    setting: "tokens.source",
    default: "unset",
    isRequiredInProduction: true,
    meaning:
      "instead: URL of a JSON Web Key Set of at most 1 MiB. Keys may rotate, and a token does not have to name its key (`kid`). " +
      "`https://` in production",
  },
  JWT_ALGORITHMS: {
    setting: "tokens.algorithms",
    default: "those of the key source",
    meaning: "accepted token algorithms, out of `HS256`, `RS256`, `ES256`, `EdDSA`",
  },
  JWT_ISSUER: { setting: "tokens.issuer", default: "unset", meaning: "required value of `iss`" },
  JWT_AUDIENCE: { setting: "tokens.audience", default: "unset", meaning: "required value of `aud`" },
  API_KEYS: {
    setting: "apiKeys",
    default: "one well-known key",
    isRequiredInProduction: true,
    meaning:
      "`name:secret,…`. Two keys may have the same name, for [rotation](rotating-secrets.md). At least 32 bytes each in production",
  },
  ALLOWED_ORIGINS: {
    setting: "allowedOrigins",
    default: "`*`",
    isRequiredInProduction: true,
    meaning:
      "origins of the pages and apps that may connect, see [origins](#origins). `*` allows any origin and must be set explicitly " +
      "in production",
  },
  DEMO: {
    setting: "demo",
    default: "as described",
    meaning:
      "`true` serves the demo at `/demo`, where anyone can sign in under any name. Enabled by default only outside production, " +
      "with the well-known secret and the embedded store",
  },
  TRUSTED_PROXIES: {
    setting: "trustedProxies",
    default: "none",
    meaning:
      "addresses and networks whose `X-Forwarded-For` is trusted: `10.0.0.0/8,::1`. From any other address the header is ignored, " +
      "and logged once a minute",
  },
  NODE_ID: {
    setting: "nodeId",
    default: "host name and a random part",
    meaning: "name of the node in logs, metrics and `ready`",
  },
  METRICS_PORT: {
    setting: "metrics.port",
    default: "unset",
    meaning: "where `/metrics` is served; if unset, on the public port",
  },
  METRICS_HOST: { setting: "metrics.host", default: "`127.0.0.1`", meaning: "address of `METRICS_PORT`" },
  OPERATORS: {
    setting: "operators",
    default: "unset",
    meaning:
      "`name:secret:role,…`; enables the [operator API and the console](console.md). The role is `viewer` or `admin`; at least " +
      "32 bytes each in production",
  },
  CONSOLE_PORT: {
    setting: "console.address.port",
    default: "unset",
    meaning: "where the operator API and the console are served; if unset, on the public port",
  },
  CONSOLE_HOST: { setting: "console.address.host", default: "`127.0.0.1`", meaning: "address of `CONSOLE_PORT`" },
  CONSOLE_PAYLOADS: {
    setting: "console.payloads",
    default: "`mask`",
    meaning: "`show`: viewers also see the payloads of publications and dead letters",
  },
  LOG_LEVEL: { setting: "logLevel", default: "`info`", meaning: "what is logged" },
  DRAIN_TIMEOUT_MS: {
    setting: "drainTimeoutMs",
    default: "`30000`",
    meaning: "max time to move clients to other nodes after SIGTERM",
  },
  WORKERS: {
    setting: "workers",
    default: "`1`",
    meaning:
      "number of nodes that share the port, each a separate process; `auto` for one per core " +
      "([scaling.md](scaling.md#all-cores-of-one-machine)). `start --workers` takes precedence",
  },
  WORKER_FEED: {
    setting: "workerFeed",
    default: "`own`",
    meaning:
      "`shared`: the [workers](scaling.md#a-hot-channel-and-the-workers-of-one-machine) of a machine share one subscription to " +
      "each channel. Without effect on a single node",
  },
  APP_FILE: {
    setting: "appFile",
    default: "none",
    meaning:
      "module whose default export is called with the gateway before it accepts connections ([app.md](app.md)). `start --app` " +
      "takes precedence",
  },
  CONTRACT_FILE: {
    setting: "contractFile",
    default: "none",
    meaning:
      "module whose default export is the [contract](contract.md) to check against. `start --contract` takes precedence",
  },
  ACCELERATOR: {
    setting: "accelerator",
    default: "the one compiled here",
    meaning:
      "file of the compiled [accelerator](scaling.md#the-accelerator); if set, the node does not start without it. `off` disables " +
      "it",
  },
  GATEWAY_CONFIG: { default: "unset", meaning: "path of the JSON file" },
} as const satisfies Readonly<Record<string, VariableDescription>>;

export const variables: readonly string[] = Object.keys(variableDescriptions);
