/**
 * What each setting of the JSON file is, by its path, where `*` stands for any name and `[]` for any entry. In the Markdown of
 * `docs/`; the JSON Schema has it as plain text.
 */
const descriptions: Readonly<Record<string, string>> = {
  $schema: "where the JSON Schema of this file is, for editors",
  "channels.*.subscribe": "who may subscribe: [rules](signing-in.md#rules), or a list of them",
  "channels.*.publish": "which clients may publish, with the same values; backends always may",
  "channels.*.presence": "whether the channel has presence",
  "channels.*.state": "whether the channel has [state](state.md); not for `order`, `orders`, `leaderboard` and `rank`",
  "channels.*.history.size": "max publications in the history",
  "channels.*.history.ttlSeconds":
    "how long the history is kept after the last publication; from 60 on, it may be kept up to a sixteenth longer",
  "channels.*.conflateMs":
    "interval in which a subscriber receives only the [latest](slow-readers.md) publication, and the latest change of each key of the [state](state.md), where 0 means 50",
  "channels.*.deliver": '`"event"` delivers publications under [their own event name](protocol.md#events-of-your-own)',
  "channels.*.merge":
    '`"append"` [joins texts](token-streams.md): late comers get one; not for built-in kinds, or with `state` or `conflateMs`',
  "leaderboards.*.order": "whether high (`desc`) or low (`asc`) scores rank first",
  "leaderboards.*.mode": "how a new score is combined: `best` keeps the better one, `last` replaces, `increment` adds",
  "leaderboards.*.top": "number of entries in the snapshot and its diffs",
  "leaderboards.*.tickMs": "min time between two diffs",
  "leaderboards.*.season": "`daily`, `weekly` or `monthly`, in UTC",
  "leaderboards.*.archiveTtlSeconds": "how long a past season can be read",
  "leaderboards.*.ttlSeconds":
    'how long a board without seasons is kept after its last score; for boards of `"*"` 30 days unless set',
  "leaderboards.*.clientWrites": "whether clients may submit their own scores",
  "orders.transitions":
    "the allowed next statuses of each status, of which the first is where orders begin; a status without any ends the order. By default from `created` over `confirmed` to `delivered`, `failed` or `cancelled`",
  "orders.timeouts.*.afterSeconds": "by status: how long an order may stay in it",
  "orders.timeouts.*.to": "the status it moves to then; must be an allowed transition",
  "orders.reorderWindowMs": "how long an early event waits for its predecessors",
  "orders.maxHeld": "max held events per order",
  "orders.maxOpen": "max open orders in a user's list",
  "orders.lifeSeconds": "how long an order is kept after its last event",
  "orders.endedLifeSeconds": "how long an order is kept after it reached a final status",
  "orders.timelineSize": "max entries of a timeline",
  "orders.timelineBytes": "max bytes of a timeline; the last entry is always kept",
  "orders.seenIds": "event ids remembered per order for deduplication",
  "orders.signalEveryMs": "min time between two publications of the same signal",
  "orders.signalNames": "max signal names per order",
  "commands.tries": "max attempts before a command is dead-lettered",
  "commands.firstPauseMs": "delay before the second attempt, doubled for each further one",
  "commands.longestPauseMs": "its maximum",
  "commands.leaseMs": "how long a reader may be silent before another node takes over",
  "commands.partitions": "[partitions](backends.md#partitions) of the stream, at most 64",
  "commands.maxInFlight": "max entries in flight, of each partition",
  "commands.deduplicationSeconds":
    "how long entries of the stream and rows of the outbox are remembered, so that a repeated delivery has no second effect; at least `3600`, and at least `idempotency.ttlSeconds` in effect",
  "idempotency.ttlSeconds": "how long the response for an idempotency key is kept",
  "recovery.windowSeconds":
    "how long a stock client may be disconnected and still be recovered by Socket.IO's own recovery; recovery by position works as long as the history reaches back",
  "heartbeat.pingIntervalMs":
    "how often clients are pinged; must be shorter than the idle timeout of any proxy in front",
  "heartbeat.pingTimeoutMs":
    "how long a client may take to answer; a dead client is detected after at most the sum of both",
  "bridges[].pattern": "a pub/sub channel, or a `PSUBSCRIBE` pattern",
  "bridges[].channel": "the gateway channel, or a list of channels; `{field}` is replaced from the message",
  "bridges[].event": "the event of the publication; required with `channel`",
  "bridges[].command":
    "instead of both: the type of the [command](backends.md#the-commands-stream) that the message contains",
  "limits.messages.capacity": "token bucket for a user's messages, across all nodes: the tokens it holds",
  "limits.messages.costs": "tokens per client event: 5 for `history` and 1 for others unless given here",
  "limits.messages.closeAfter.refusals": "refusals after which a connection is closed",
  "limits.messages.closeAfter.windowSeconds": "the time within which they count",
  "limits.bytes.capacity": "token bucket for the bytes of a user's messages over 1 kB, across all nodes",
  "limits.ephemeral.capacity":
    "token bucket for the bytes of a user's changes of [state](state.md) and ephemeral publications, each at least 256, across all nodes",
  "limits.handshakes.capacity": "token bucket for handshakes, per address (IPv6: per /64)",
  "limits.http.requests": "sliding window of HTTP requests, per API key: requests within it",
  "limits.logins.requests": "fixed window of logins, per address and user; used by the demo's sign-in",
  "limits.sessions.perUser.requests":
    "[limit on sign-ins](limits.md#limits-on-sign-ins): max calls of `POST /v1/sessions` for a user within the window",
  "limits.sessions.perAddress.requests": "the same for an address",
  "limits.roles.*.messages.capacity": "[limits by role](limits.md#limits-by-role), instead of `limits.messages`",
  "limits.roles.*.bytes.capacity": "the same instead of `limits.bytes`",
  "limits.publications.*.capacity": "by kind of channel: token bucket for the publications of each channel",
  "limits.custom":
    "[limits for your backend](limits.md#limits-for-your-backend), by name: `capacity` and `refillPerSecond`, or `requests` and `windowSeconds`",
  "limits.connectionsPerUser": "max connections per user, across all nodes",
  "limits.subscriptionsPerConnection": "max subscriptions per connection, not counting the automatic one to `user:…`",
  "limits.unauthenticatedConnections": "max unauthenticated connections per node",
  "limits.unauthenticatedConnectionsPerAddress": "the same per address (IPv6: per /64); a tenth of them unless set",
  "limits.idleConnectionsPerAddress":
    "max HTTP connections without a request, per node and address (IPv6: per /64), except trusted proxies; up to twice as many if opened or used within 5 s",
  "limits.state.keysPerChannel": "max keys of a channel's [state](state.md)",
  "limits.state.bytesPerChannel": "max bytes of all its keys and values",
  "limits.state.keyBytes": "max bytes of a key",
  "limits.state.valueBytes": "max bytes of a value",
  "limits.state.idleSeconds": "how long the state of a channel is kept after its last change or subscription",
  "limits.payloadBytes": "max size of a client frame, and of a publication over HTTP",
  "limits.outboundQueueBytes": "max bytes in a connection's send queue before it is closed as a slow consumer",
  "tokens.tokenTtlSeconds": "lifetime of tokens issued by the gateway; never longer than the session",
  "tokens.maxLifeSeconds": "max lifetime of a token, from `iat` to `exp`",
  "tokens.clockToleranceSeconds": "how far an issuer's clock may be ahead",
  "tokens.adopt": "accept [tokens of an identity provider](signing-in.md#tokens-of-an-identity-provider) as they are",
  "tokens.claims.roles":
    "claim with the roles, `roles` unless set; nested claims by dots, such as `realm_access.roles`",
  "tokens.claims.channels": "claim with the grants, `channels` unless set",
  "tokens.claims.info": "claim with the public part of the session",
  "sessions.sessionTtlSeconds": "default lifetime of a session",
  "sessions.maxSessionTtlSeconds": "max lifetime that can be requested",
  "sessions.sessionIdleSeconds": "a session that was not seen for this long ends early",
  "sessions.maxSessionsPerUser": "max sessions per user; a new one evicts the oldest",
  "webhooks[].url": "`https://` or `http://`; user and password in it are sent as basic authentication",
  "webhooks[].secret": "signing secret: a text, or `whsec_` followed by the key in base64; several during rotation",
  "webhooks[].events": "the [events](webhooks.md#events) to deliver",
  "webhooks[].tries": "max attempts before a delivery is dead-lettered",
  "webhooks[].firstPauseMs": "delay before the second attempt, doubled for each further one",
  "webhooks[].longestPauseMs": "its maximum",
  "webhooks[].timeoutMs": "how long a receiver may take to respond",
  "app.url": "`https://` or `http://`; user and password in it are sent as basic authentication",
  "app.secret": "signing secret: a text, or `whsec_` followed by the key in base64; several during rotation",
  "app.timeoutMs": "max time for the app to answer",
  "app.events": "the events to forward, by name; `*` forwards all that are not built in",
  "app.events.*.cost": "tokens of `limits.messages` that the event takes",
  "app.hooks": "what the app is asked before it happens, see [hooks](app.md#hooks)",
  "app.namespaces": "[namespaces](app.md#namespaces) in addition to the main one, such as `/admin`",
  "app.headers": "headers of a client's handshake that the app is sent; never `authorization`",
};

/** Settings that several limits have. */
const ofLimits: Readonly<Record<string, string>> = {
  refillPerSecond: "tokens that the bucket gets back per second",
  windowSeconds: "length of the window",
  shadow: "counts what it would refuse, but refuses nothing; `false` unless set",
  whenStoreIsAway:
    "while Redis is unreachable: `open` allows everything, `closed` nothing, `local` counts on each node separately; for `limits.logins` `closed` unless set, else `local`",
  share: "the share of the remaining tokens that a node may lease in advance",
  lifeMs: "for how long a node may keep leased tokens",
};

const nameIn = (path: string): string => path.slice(path.lastIndexOf(".") + 1);

export const descriptionOf = (path: string): string | undefined => descriptions[path] ?? ofLimits[nameIn(path)];

export const describedPaths: readonly string[] = Object.keys(descriptions);
