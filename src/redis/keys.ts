import { createHash } from "node:crypto";

/**
 * All key names. The comment of each function gives the key's type, TTL and hash tag.
 *
 * A key is `<prefix>:{<room>:<id>}:<part>`. The tag in braces keeps everything one script touches in one slot of a Redis
 * Cluster. Ids are untrusted, so they are encoded with an alphabet in which they cannot end the tag, add a part
 * or act as a glob; two ids never share a key.
 */
export interface Keys {
  readonly prefix: string;

  /** Hash of the position (`channels/generation.lua`); TTL: a day at least, renewed by publications; tag: channel. */
  channelMeta(channel: string): string;
  /** Stream of publications, ids `<timestamp>-<offset>`; TTL: the kind's history; tag: channel. */
  channelLog(channel: string): string;
  /** String, the first answer; TTL: idempotency window; tag: channel. */
  channelIdempotency(channel: string, key: string): string;
  /** Sharded pub/sub channel of a channel's publications; tag: channel. */
  channelFeed(channel: string): string;
  /** Strings, the joined text of a channel's publications and the last one without text (`channels/publish.lua`); TTL: that of the log, from the last publication on; tag: channel. */
  channelJoined(channel: string): { text: string; last: string };
  /** The three of these that every publication needs, built in one step. */
  channel(channel: string): { meta: string; log: string; feed: string };
  /** String, the last timestamp assigned to any publication; no TTL (one key); not used on Cluster. */
  globalTimestamp(): string;
  /** String, the version of the layout of all keys; no TTL (one key). */
  storeFormat(): string;

  /** Hash of what a board's scripts agree on (see `board.lua`); TTL: seasonal boards only, past their archive; tag: channel. */
  boardState(board: string): string;
  /** Sorted set of `<place><member>` by score; TTL: the season's archive, none without seasons (it is the data); tag: channel. */
  boardRanking(board: string, season: string | null): string;
  /** Hash of member to `<place><score>`; TTL and tag: as the ranking. */
  boardPlaces(board: string, season: string | null): string;
  /** Hash of member to its data as JSON; TTL and tag: as the ranking. */
  boardData(board: string, season: string | null): string;
  /** Boards with scores: sorted set of names, and by expiry; no TTL (expired entries are removed); tag: boards. */
  boardIndex(part: "names" | "expiry"): string;
  /** Sorted set of seasonal boards by the end of their season; no TTL (one key, emptied when they have no scores); tag: boards. */
  dueBoards(): string;
  /** The same for the seasons of a board; tag: channel. */
  boardSeasons(board: string, part: "names" | "expiry"): string;
  /** Sharded pub/sub channel that says "this board changed" to the nodes that watch it; tag: channel. */
  boardTouched(board: string): string;
  /** String, what one part of a write with an idempotency key was answered; TTL: idempotency window; tag: channel. */
  boardOnce(board: string, write: { scope: string; key: string; part: number }): string;
  /** Hash { version, rank, score, total, nextAt } as last published; TTL: a day, renewed by each use; tag: channel. */
  rankState(channel: string): string;

  /** Keys of a channel's state (`state/changes.lua`), and the sharded pub/sub channel of its changes; TTL: `limits.state.idleSeconds` after the last change or subscription; tag: channel. */
  channelState(channel: string): { [K in "meta" | "entries" | "removed" | "expiry" | "owners" | "feed"]: string };
  /** Sorted set of the channels with state, by when they were last registered; no TTL (old entries are removed); tag: state. */
  stateChannels(): string;
  /** Sorted set of `<epoch milliseconds>:<channel>` by when keys expire; no TTL (emptied as they do); tag: state. */
  dueStates(): string;
  /** Set of the channels in which connections of a node own keys; TTL: two days, renewed; tag: node. */
  ownedStates(node: string): string;

  /** Hash for recovering a connection: user, owner, and `c:<channel>` → position; TTL: the recovery window, renewed while connected; tag: connection. */
  recoveryRecord(privateId: string): string;

  /** Hash of a login; TTL: idle time, up to the session's end; tag: user (a session id carries it, see `auth/session-id.ts`). */
  session(userTag: string, sessionId: string): string;
  /** String, `{ until?, reason? }` as JSON, present while a user is blocked; TTL: until the block ends, none without an end (it is data); tag: user. */
  userBlock(userTag: string): string;
  /** String, epoch milliseconds before which no token of a user is valid; TTL: the longest life of a token; tag: user. */
  userTokensFrom(userTag: string): string;
  /** Sorted set of a user's session ids by creation; TTL: until the last of them ends; tag: user. */
  userSessions(userTag: string): string;
  /** String, the session that an identity provider's session id stands for; TTL: the longest life of a session; tag: that id's digest. */
  providerSession(digest: string): string;
  /** Hash of a ticket for a stream: its session, and the resume key once it was used; TTL: 30 s, then the session's end; tag: ticket. */
  ticket(digest: string): string;
  /** String, marks a revoked token; TTL: the token's remaining life; tag: token. */
  revokedToken(jti: string): string;

  /** Hash or sorted set of a limiter; TTL derived from the rule; tag: limiter and subject. */
  limiter(limiter: string, subject: string): string;

  /** Hash of an order's state; TTL: the order's life, as for all of its keys; tag: the order's channel, for all of them. */
  orderState(orderId: string): string;
  /** List of statuses as JSON, oldest first. */
  orderTimeline(orderId: string): string;
  /** Sorted set of applied event ids, by the revision that applied them. */
  orderSeen(orderId: string): string;
  /** Set of the users who are parties. */
  orderParties(orderId: string): string;
  /** Sorted set of notifications still to be sent outside the order's slot, by number. */
  orderOutbox(orderId: string): string;
  /** Hash of the latest signal of each name. */
  orderSignals(orderId: string): string;
  /** Hash of when each name was last published, and whether one is pending. */
  orderSignalMarks(orderId: string): string;
  /** String, present while nodes may have subscriptions of an expired order; TTL: the order's life and 5 minutes. */
  orderTombstone(orderId: string): string;
  /** String, present if a signal's idempotency key was used; TTL: idempotency window; tag: the order's channel. */
  orderSignalled(orderId: string, key: string): string;
  /** Sorted set of a user's open orders by the end of their life; TTL: the longest of them; tag: channel `orders:{user}`. */
  openOrders(userId: string): string;
  /** Hash of the same orders as JSON; TTL and tag as above. */
  openOrderTexts(userId: string): string;
  /** Hash of what was last delivered to a user about an order; TTL: the order's life; tag: channel `orders:{user}`. */
  deliveredOrder(userId: string, orderId: string): string;
  /** Index of all orders, or a user's: sorted set of `<creation>:<order>`, sorted set of the same by expiry, hash of their statuses; TTL: the longest of them; tag: `orders`, or channel `orders:{user}`. */
  orderIndex(part: "members" | "expiry" | "statuses", userId?: string): string;
  /** Sorted set of orders by when their next check is due; no TTL (one key, emptied by the checks). */
  dueOrders(): string;

  /** Stream of the backends' commands, or another partition of it; no TTL (trimmed as they are performed); a plain name, because backends write to it. */
  commands(partition?: number): string;
  /** String, present if a command of this name was added or may not be; TTL: the deduplication window; tag: in the stream's slot. */
  addedCommand(name: string): string;
  /** String, the node that leads the consumer group; TTL: its lease; tag: in the slot of the stream. */
  commandsLease(partition?: number): string;
  /** String, the node that is to lead instead; TTL: the lease; tag: in the slot of the stream. */
  commandsClaim(partition: number): string;
  /** Stream of commands that could not be performed; no TTL (its length is bounded). */
  deadCommands(): string;
  /** Sorted set of the keys of dead letters, by time; TTL: the deduplication window; tag: in the slot of that stream. */
  deadCommandKeys(): string;
  /** Hash of a write and its answer; TTL: idempotency window; tag: the scope and the key. */
  once(scope: string, key: string): string;

  /** Sorted set of schedule ids by when they are published, or by the end of a node's claim; no TTL (emptied as they are published); tag: scheduled, as for the next two. */
  scheduledDue(): string;
  /** Hash schedule id → state, time and command as JSON. */
  scheduled(): string;
  /** Hash schedule id → failed attempts. */
  scheduledFailures(): string;

  /** Sorted set of living nodes by the end of their leases; no TTL (members end by their scores); tag: control. */
  nodes(): string;
  /** String, another text after each change of the living nodes; no TTL (one key); tag: control. */
  nodesVersion(): string;
  /** Stream of control commands to every node; trimmed by age, no TTL (nodes must find the last id); tag: control. */
  controlLog(): string;
  /** Sharded pub/sub channel that announces new control log entries; tag: control. */
  controlFeed(): string;
  /** Hash node → count, the answers to one control command; TTL: a minute; tag: the command. */
  controlAcknowledgements(commandId: string): string;

  /** Sorted set of dead nodes whose state was not yet removed, by time of death; no TTL (emptied by living nodes); tag: control. */
  deadNodes(): string;

  /** Hash node → key of its members, '' → revision, 'since' → the first; TTL: two days, renewed by all; tag: channel. */
  channelMembers(channel: string): string;
  /** Hash user → connections through one node; TTL and tag as above. */
  channelMembersOf(channel: string, node: string): string;
  /** Sharded pub/sub channel of changes in a channel's members; tag: channel. */
  membersFeed(channel: string): string;
  /** Sorted set of the channels with subscribers on a node, all of score 0, for paging by name; TTL: two days, renewed; tag: node. */
  nodeChannels(node: string): string;
  /** Hash channel → subscribers on a node; TTL and tag as above. */
  nodeChannelCounts(node: string): string;
  /** Hash `<node>|<session>` → connections of a user; TTL: two days, renewed by each change and by nodes; tag: user. */
  userConnections(userTag: string): string;

  /** List of an entity's messages queued for an endpoint, the next to be sent first; TTL: a month, renewed by each change, as for the next three; tag: webhooks, as for all below. */
  webhookQueue(endpoint: string, entity: string): string;
  /** Sorted set of the entities with queued messages, by when the next is due, or when the claim of the node that sends it ends. */
  webhookQueues(endpoint: string): string;
  /** Hash of the attempts made for the first queued message, by entity. */
  webhookAttempts(endpoint: string): string;
  /** String, the number of messages queued for an endpoint. */
  webhookWaiting(endpoint: string): string;
  /** String, present if the message with this id, or the replay of a dead letter, was accepted or may not be; TTL: a day. */
  webhookAccepted(id: string): string;
  /** Set of the nodes at which an entity is occupied; no TTL (nodes that leave or die are removed). */
  webhookOccupancy(entity: string): string;
  /** Hash of the entities occupied at a node: entity → webhook data as JSON; no TTL (as above). */
  webhookOccupancyOf(node: string): string;
  /** Sorted set of nodes that left or died, by when they are removed; no TTL (emptied by living nodes). */
  webhookDepartedNodes(): string;
  /** Stream of messages that could not be delivered; no TTL (its length is bounded). */
  deadWebhooks(): string;

  /** Sharded pub/sub channel of questions to all nodes; tag: nodes. */
  nodeQuestions(): string;
  /** Sharded pub/sub channel of the answers to one node; tag: the name. */
  nodeReplies(name: string): string;
  /** Stream of acts; no TTL (its length is bounded); tag: operator. */
  operatorAudit(): string;
  /** Sorted set of nodes that died within the last 15 minutes, by time; expires after that; tag: operator. */
  operatorDeadNodes(): string;

  /** Sharded pub/sub channel of a node's pub/sub probe, one of several in different slots; tag: probe and number. */
  probe(name: string, number: number): string;

  /** String, a cached value as JSON; TTL: its lifetime; tag: the value. */
  cached(key: string): string;
  /** String, the node that loads a value; TTL: seconds; tag: the value. */
  cacheLock(key: string): string;

  /** `<prefix>:<name>` for keys that exist once, such as a stream of commands. */
  single(name: string): string;
  /** `<prefix>:{<room>:<id>}:<part>`, from which the methods above are built. */
  of(room: string, id: string, part: string): string;
}

export function createKeys(prefix: string): Keys {
  const of = (room: string, id: string, part: string): string => `${prefix}:{${room}:${encodeId(id)}}:${part}`;
  const ofBoard = (board: string, part: string): string => of("ch", `leaderboard:${board}`, part);
  const commandsStream = (partition: number) => `${prefix}:commands${partition === 0 ? "" : `:${partition}`}`;
  const ofWebhooks = `{${prefix}:webhooks}`;
  return {
    prefix,
    channel(channel) {
      const start = of("ch", channel, "");
      return { meta: `${start}meta`, log: `${start}log`, feed: `${start}feed` };
    },
    channelMeta: (channel) => of("ch", channel, "meta"),
    channelLog: (channel) => of("ch", channel, "log"),
    channelIdempotency: (channel, key) => of("ch", channel, `once:${encodeId(key)}`),
    channelJoined: (channel) => ({ text: of("ch", channel, "text"), last: of("ch", channel, "last") }),
    channelFeed: (channel) => of("ch", channel, "feed"),
    globalTimestamp: () => `${prefix}:timestamp`,
    storeFormat: () => `${prefix}:format`,
    boardState: (board) => ofBoard(board, "board"),
    boardRanking: (board, season) => ofBoard(board, `ranking${inSeason(season)}`),
    boardPlaces: (board, season) => ofBoard(board, `places${inSeason(season)}`),
    boardIndex: (part) => of("boards", "index", part),
    dueBoards: () => of("boards", "index", "due"),
    boardSeasons: (board, part) => ofBoard(board, `seasons-${part}`),
    boardData: (board, season) => ofBoard(board, `data${inSeason(season)}`),
    boardTouched: (board) => ofBoard(board, "touched"),
    boardOnce: (board, { scope, key, part }) => ofBoard(board, `once:${encodeId(scope)}:${encodeId(key)}:${part}`),
    rankState: (channel) => of("ch", channel, "rank"),
    channelState(channel) {
      const start = of("ch", channel, "state-");
      return {
        meta: `${start}meta`,
        entries: `${start}entries`,
        removed: `${start}removed`,
        expiry: `${start}expiry`,
        owners: `${start}owners`,
        feed: `${start}feed`,
      };
    },
    stateChannels: () => of("state", "all", "channels"),
    dueStates: () => of("state", "all", "due"),
    ownedStates: (node) => of("node", node, "owned-states"),
    recoveryRecord: (privateId) => of("connection", privateId, "record"),
    session: (userTag, sessionId) => of("user", userTag, `session:${encodeId(sessionId)}`),
    userBlock: (userTag) => of("user", userTag, "block"),
    userTokensFrom: (userTag) => of("user", userTag, "tokens-from"),
    userSessions: (userTag) => of("user", userTag, "sessions"),
    providerSession: (digest) => of("provider-session", digest, "id"),
    ticket: (digest) => of("ticket", digest, "session"),
    revokedToken: (jti) => of("token", jti, "revoked"),
    limiter: (limiter, subject) => of(`limit-${limiter}`, subject, "state"),
    orderState: (orderId) => of("ch", `order:${orderId}`, "order"),
    orderTimeline: (orderId) => of("ch", `order:${orderId}`, "timeline"),
    orderSeen: (orderId) => of("ch", `order:${orderId}`, "seen"),
    orderParties: (orderId) => of("ch", `order:${orderId}`, "parties"),
    orderOutbox: (orderId) => of("ch", `order:${orderId}`, "outbox"),
    orderSignals: (orderId) => of("ch", `order:${orderId}`, "signals"),
    orderSignalMarks: (orderId) => of("ch", `order:${orderId}`, "signal-marks"),
    orderTombstone: (orderId) => of("ch", `order:${orderId}`, "tombstone"),
    orderSignalled: (orderId, key) => of("ch", `order:${orderId}`, `signalled:${encodeId(key)}`),
    openOrders: (userId) => of("ch", `orders:${userId}`, "open"),
    orderIndex: (part, userId) =>
      userId === undefined ? of("orders", "index", part) : of("ch", `orders:${userId}`, `index-${part}`),
    openOrderTexts: (userId) => of("ch", `orders:${userId}`, "open-texts"),
    deliveredOrder: (userId, orderId) => of("ch", `orders:${userId}`, `delivered:${encodeId(orderId)}`),
    dueOrders: () => of("orders", "all", "due"),
    commands: (partition = 0) => commandsStream(partition),
    addedCommand: (name) => `{${prefix}:commands}:added:${encodeId(name)}`,
    commandsLease: (partition = 0) => `{${commandsStream(partition)}}:lease`,
    commandsClaim: (partition) => `{${commandsStream(partition)}}:claim`,
    deadCommands: () => `${prefix}:commands:dead`,
    deadCommandKeys: () => `{${prefix}:commands:dead}:keys`,
    once: (scope, key) => of("once", JSON.stringify([scope, key]), "answer"),
    scheduledDue: () => of("scheduled", "all", "due"),
    scheduled: () => of("scheduled", "all", "publications"),
    scheduledFailures: () => of("scheduled", "all", "failures"),
    nodes: () => of("cluster", "control", "nodes"),
    nodesVersion: () => of("cluster", "control", "nodes-version"),
    controlLog: () => of("cluster", "control", "log"),
    controlFeed: () => of("cluster", "control", "feed"),
    controlAcknowledgements: (commandId) => of("control", commandId, "acknowledgements"),
    deadNodes: () => of("cluster", "control", "dead-nodes"),
    channelMembers: (channel) => of("ch", channel, "members"),
    channelMembersOf: (channel, node) => of("ch", channel, `members:${encodeId(node)}`),
    membersFeed: (channel) => of("ch", channel, "members-feed"),
    nodeChannels: (node) => of("node", node, "channels"),
    nodeChannelCounts: (node) => of("node", node, "channel-counts"),
    userConnections: (userTag) => of("user", userTag, "connections"),
    webhookQueue: (endpoint, entity) => `${ofWebhooks}:queue:${endpoint}:${encodeId(entity)}`,
    webhookQueues: (endpoint) => `${ofWebhooks}:queues:${endpoint}`,
    webhookAttempts: (endpoint) => `${ofWebhooks}:attempts:${endpoint}`,
    webhookWaiting: (endpoint) => `${ofWebhooks}:queued:${endpoint}`,
    webhookAccepted: (id) => `${ofWebhooks}:accepted:${encodeId(id)}`,
    webhookOccupancy: (entity) => `${ofWebhooks}:occupancy:${encodeId(entity)}`,
    webhookOccupancyOf: (node) => `${ofWebhooks}:occupancy-of:${encodeId(node)}`,
    webhookDepartedNodes: () => `${ofWebhooks}:departed`,
    deadWebhooks: () => `${ofWebhooks}:dead`,
    nodeQuestions: () => of("nodes", "all", "questions"),
    nodeReplies: (name) => of("nodes", name, "replies"),
    operatorAudit: () => of("operator", "all", "audit"),
    operatorDeadNodes: () => of("operator", "all", "dead-nodes"),
    probe: (name, number) => of("probe", `${name}-${number}`, "feed"),
    cached: (key) => of("cache", key, "value"),
    cacheLock: (key) => of("cache", key, "lock"),
    single: (name) => `${prefix}:${name}`,
    of,
  };
}

const inSeason = (season: string | null): string => (season === null ? "" : `:${season}`);

/** Max length of a literal id; a longer one is replaced by its digest. */
const maxPlainIdLength = 128;

/**
 * Injective: letters, digits, `-`, `_` and `.` stand for themselves, every other byte is `%XX`; an id that would be longer
 * than 128 characters becomes `~` and its SHA-256, and `~` occurs nowhere else.
 */
export function encodeId(id: string): string {
  if (id.length <= maxPlainIdLength && /^[\w.-]*$/.test(id)) return id;
  if (id.length <= maxPlainIdLength) {
    const encoded = percentEncode(id);
    if (encoded.length <= maxPlainIdLength) return encoded;
  }
  return `~${createHash("sha256").update(id, "utf16le").digest("base64url")}`;
}

function percentEncode(id: string): string {
  // The form of most channel names.
  if (/^[\w.:-]*$/.test(id)) return id.replaceAll(":", "%3A");
  let encoded = "";
  for (const byte of Buffer.from(id, "utf8")) {
    const char = String.fromCharCode(byte);
    encoded += byte < 0x80 && /[\w.-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
