import { createHash } from "node:crypto";

/**
 * The one author of key names. Each function says the key's type, its TTL and its hash tag.
 *
 * A key is `<prefix>:{<room>:<id>}:<part>`. The tag in braces keeps everything one script touches in one slot of a Redis
 * Cluster. Ids come from strangers, so they are written with an alphabet in which they cannot end the tag, add a part
 * or act as a glob; two ids never share a key.
 */
export interface Keys {
  readonly prefix: string;

  /** Hash of the position (`channels/generation.lua`); TTL: a day at least, renewed by publications; tag: channel. */
  channelMeta(channel: string): string;
  /** Stream of publications, ids `<stamp>-<offset>`; TTL: the kind's history; tag: channel. */
  channelLog(channel: string): string;
  /** String, the answer given first; TTL: idempotency window; tag: channel. */
  channelIdempotency(channel: string, key: string): string;
  /** Sharded pub/sub channel of a channel's publications; tag: channel. */
  channelFeed(channel: string): string;
  /** What every publication needs of these, at the cost of one. */
  channel(channel: string): { meta: string; log: string; feed: string };
  /** String, the last stamp given to any publication; no TTL (one key); not used on Cluster. */
  stamp(): string;

  /** Hash of what a board's scripts agree on (see `board.lua`); TTL: seasonal boards only, past their archive; tag: channel. */
  boardState(board: string): string;
  /** Sorted set of `<place><member>` by score; TTL: the season's archive, none without seasons (it is the data); tag: channel. */
  boardRanking(board: string, season: string | null): string;
  /** Hash of member to `<place><score>`; TTL and tag: as the ranking. */
  boardPlaces(board: string, season: string | null): string;
  /** Hash of member to its data as JSON; TTL and tag: as the ranking. */
  boardData(board: string, season: string | null): string;
  /** Sharded pub/sub channel that says "this board changed" to the nodes that watch it; tag: channel. */
  boardTouched(board: string): string;
  /** String, what one part of a write with an idempotency key was answered; TTL: idempotency window; tag: channel. */
  boardOnce(board: string, write: { scope: string; key: string; part: number }): string;
  /** Hash { version, rank, score, total, nextAt } as last published; TTL: a day, renewed by each use; tag: channel. */
  rankState(channel: string): string;

  /** Hash of what a returning connection needs: who, owner, and `c:<channel>` → position; TTL: the recovery window, renewed while it is here; tag: connection. */
  connectionRecord(privateId: string): string;

  /** Hash of a login; TTL: idle time, up to the session's end; tag: user (a session id carries it, see `auth/session-id.ts`). */
  session(userTag: string, sessionId: string): string;
  /** Sorted set of a user's session ids by creation; TTL: until the last of them ends; tag: user. */
  userSessions(userTag: string): string;
  /** String, a token no longer good; TTL: the token's remaining life; tag: token. */
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
  /** Sorted set of what is still to be told outside the order's slot, by number. */
  orderOutbox(orderId: string): string;
  /** Hash of the latest signal of each name. */
  orderSignals(orderId: string): string;
  /** Hash of when each name was last published, and whether one waits. */
  orderSignalMarks(orderId: string): string;
  /** String, present while nodes may have subscriptions of an order whose life is over; TTL: the life and 5 minutes. */
  orderRemains(orderId: string): string;
  /** String, present where a signal's idempotency key was used; TTL: idempotency window; tag: the order's channel. */
  orderSignalled(orderId: string, key: string): string;
  /** Sorted set of a user's open orders by the end of their life; TTL: the longest of them; tag: channel `orders:{user}`. */
  openOrders(userId: string): string;
  /** Hash of the same orders as JSON; TTL and tag as above. */
  openOrderTexts(userId: string): string;
  /** Hash of what a user was last told of an order; TTL: the order's life; tag: channel `orders:{user}`. */
  toldOfOrder(userId: string, orderId: string): string;
  /** Sorted set of orders to be looked after, by time; no TTL (one key, emptied as they are looked after). */
  orderLooks(): string;

  /** Stream of the backends' commands; no TTL (trimmed as they are performed); a plain name, for backends write to it. */
  commands(): string;
  /** String, present where a bridge left this command before; TTL: as long as it is known; tag: in the stream's slot. */
  bridgedCommand(name: string): string;
  /** String, the node whose turn it is to read the commands; TTL: the lease; tag: in the slot of the stream. */
  commandsLease(): string;
  /** Stream of what could not be performed; no TTL (its length is bounded). */
  deadCommands(): string;
  /** Sorted set of the keys of dead letters, by time; TTL: as long as they are remembered; tag: in the slot of that stream. */
  deadCommandKeys(): string;
  /** Hash of a write and its answer; TTL: idempotency window; tag: the scope and the key. */
  once(scope: string, key: string): string;

  /** Sorted set of living nodes by the end of their leases; no TTL (members end by their scores); tag: control. */
  nodes(): string;
  /** Stream of control commands to every node; trimmed by age, no TTL (nodes must find the last id); tag: control. */
  controlLog(): string;
  /** Sharded pub/sub channel that says the control log has grown; tag: control. */
  controlFeed(): string;
  /** Hash node → count, the answers to one control command; TTL: a minute; tag: the command. */
  controlAnswers(commandId: string): string;

  /** Sorted set of nodes that died and are not yet cleaned up after, by time of death; no TTL (emptied by the living); tag: control. */
  graves(): string;

  /** Hash node → key of its members, '' → revision, 'since' → the first; TTL: two days, renewed by all; tag: channel. */
  channelMembers(channel: string): string;
  /** Hash user → connections through one node; TTL and tag as above. */
  channelMembersOf(channel: string, node: string): string;
  /** Sharded pub/sub channel of changes in a channel's members; tag: channel. */
  membersFeed(channel: string): string;
  /** Sorted set of the channels read on a node, all of score 0, for paging by name; TTL: two days, renewed; tag: node. */
  nodeChannels(node: string): string;
  /** Hash channel → subscribers on a node; TTL and tag as above. */
  nodeChannelCounts(node: string): string;
  /** Hash `<node>|<session>` → connections of a user; TTL: two days, renewed by each change and by nodes; tag: user. */
  userConnections(userTag: string): string;

  /** List of what waits for an endpoint about one entity, the next to be sent first; TTL: a month, renewed by each change, as for the next three; tag: webhooks, as for all below. */
  webhookLane(endpoint: string, entity: string): string;
  /** Sorted set of the entities with something waiting, by when it is to be sent, or when the claim of the node that sends it ends. */
  webhookLanes(endpoint: string): string;
  /** Hash of how often the first of what waits was tried, by entity. */
  webhookTries(endpoint: string): string;
  /** String, how many wait for an endpoint. */
  webhookWaiting(endpoint: string): string;
  /** String, present where the message of this id was taken in; TTL: a day. */
  webhookTaken(id: string): string;
  /** Set of the nodes at which an entity stands; no TTL (nodes that leave or die are taken out). */
  webhookStandings(entity: string): string;
  /** Hash of what stands at a node: entity → what is told of it, as JSON; no TTL (as above). */
  webhookStandingsOf(node: string): string;
  /** Sorted set of nodes that left or died, by when they are to be taken out; no TTL (emptied by those who live). */
  webhookDeparted(): string;
  /** Stream of what could not be delivered; no TTL (its length is bounded). */
  deadWebhooks(): string;

  /** Sharded pub/sub channel on which a node hears itself, one of several in different slots; tag: canary and number. */
  canary(canary: string, number: number): string;

  /** String, a cached value as JSON; TTL: what it was kept for; tag: the value. */
  cached(key: string): string;
  /** String, which node loads a value; TTL: seconds; tag: the value. */
  cacheClaim(key: string): string;

  /** `<prefix>:<name>` for keys that exist once, such as a stream of commands. */
  single(name: string): string;
  /** `<prefix>:{<room>:<id>}:<part>`; what the methods above are made of, for rooms that come later. */
  of(room: string, id: string, part: string): string;
}

export function createKeys(prefix: string): Keys {
  const of = (room: string, id: string, part: string): string => `${prefix}:{${room}:${encodeId(id)}}:${part}`;
  const ofBoard = (board: string, part: string): string => of("ch", `leaderboard:${board}`, part);
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
    channelFeed: (channel) => of("ch", channel, "feed"),
    stamp: () => `${prefix}:stamp`,
    boardState: (board) => ofBoard(board, "board"),
    boardRanking: (board, season) => ofBoard(board, `ranking${inSeason(season)}`),
    boardPlaces: (board, season) => ofBoard(board, `places${inSeason(season)}`),
    boardData: (board, season) => ofBoard(board, `data${inSeason(season)}`),
    boardTouched: (board) => ofBoard(board, "touched"),
    boardOnce: (board, { scope, key, part }) => ofBoard(board, `once:${encodeId(scope)}:${encodeId(key)}:${part}`),
    rankState: (channel) => of("ch", channel, "rank"),
    connectionRecord: (privateId) => of("connection", privateId, "record"),
    session: (userTag, sessionId) => of("user", userTag, `session:${encodeId(sessionId)}`),
    userSessions: (userTag) => of("user", userTag, "sessions"),
    revokedToken: (jti) => of("token", jti, "revoked"),
    limiter: (limiter, subject) => of(`limit-${limiter}`, subject, "state"),
    orderState: (orderId) => of("ch", `order:${orderId}`, "order"),
    orderTimeline: (orderId) => of("ch", `order:${orderId}`, "timeline"),
    orderSeen: (orderId) => of("ch", `order:${orderId}`, "seen"),
    orderParties: (orderId) => of("ch", `order:${orderId}`, "parties"),
    orderOutbox: (orderId) => of("ch", `order:${orderId}`, "outbox"),
    orderSignals: (orderId) => of("ch", `order:${orderId}`, "signals"),
    orderSignalMarks: (orderId) => of("ch", `order:${orderId}`, "signal-marks"),
    orderRemains: (orderId) => of("ch", `order:${orderId}`, "remains"),
    orderSignalled: (orderId, key) => of("ch", `order:${orderId}`, `signalled:${encodeId(key)}`),
    openOrders: (userId) => of("ch", `orders:${userId}`, "open"),
    openOrderTexts: (userId) => of("ch", `orders:${userId}`, "open-texts"),
    toldOfOrder: (userId, orderId) => of("ch", `orders:${userId}`, `told:${encodeId(orderId)}`),
    orderLooks: () => of("orders", "all", "looks"),
    commands: () => `${prefix}:commands`,
    bridgedCommand: (name) => `{${prefix}:commands}:bridged:${encodeId(name)}`,
    commandsLease: () => `{${prefix}:commands}:lease`,
    deadCommands: () => `${prefix}:commands:dead`,
    deadCommandKeys: () => `{${prefix}:commands:dead}:keys`,
    once: (scope, key) => of("once", JSON.stringify([scope, key]), "answer"),
    nodes: () => of("cluster", "control", "nodes"),
    controlLog: () => of("cluster", "control", "log"),
    controlFeed: () => of("cluster", "control", "feed"),
    controlAnswers: (commandId) => of("control", commandId, "answers"),
    graves: () => of("cluster", "control", "graves"),
    channelMembers: (channel) => of("ch", channel, "members"),
    channelMembersOf: (channel, node) => of("ch", channel, `members:${encodeId(node)}`),
    membersFeed: (channel) => of("ch", channel, "members-feed"),
    nodeChannels: (node) => of("node", node, "channels"),
    nodeChannelCounts: (node) => of("node", node, "channel-counts"),
    userConnections: (userTag) => of("user", userTag, "connections"),
    webhookLane: (endpoint, entity) => `${ofWebhooks}:lane:${endpoint}:${encodeId(entity)}`,
    webhookLanes: (endpoint) => `${ofWebhooks}:lanes:${endpoint}`,
    webhookTries: (endpoint) => `${ofWebhooks}:tries:${endpoint}`,
    webhookWaiting: (endpoint) => `${ofWebhooks}:waiting:${endpoint}`,
    webhookTaken: (id) => `${ofWebhooks}:taken:${encodeId(id)}`,
    webhookStandings: (entity) => `${ofWebhooks}:standings:${encodeId(entity)}`,
    webhookStandingsOf: (node) => `${ofWebhooks}:standings-of:${encodeId(node)}`,
    webhookDeparted: () => `${ofWebhooks}:departed`,
    deadWebhooks: () => `${ofWebhooks}:dead`,
    canary: (canary, number) => of("canary", `${canary}-${number}`, "feed"),
    cached: (key) => of("cache", key, "value"),
    cacheClaim: (key) => of("cache", key, "claim"),
    single: (name) => `${prefix}:${name}`,
    of,
  };
}

const inSeason = (season: string | null): string => (season === null ? "" : `:${season}`);

/** Longest id written out; a longer one is named by its digest. */
const longestPlainId = 128;

/**
 * Injective: letters, digits, `-`, `_` and `.` stand for themselves, every other byte is `%XX`; what would be longer
 * than 128 characters becomes `~` and its SHA-256, and `~` is never written otherwise.
 */
export function encodeId(id: string): string {
  if (id.length <= longestPlainId && /^[\w.-]*$/.test(id)) return id;
  if (id.length <= longestPlainId) {
    const encoded = percentEncode(id);
    if (encoded.length <= longestPlainId) return encoded;
  }
  return `~${createHash("sha256").update(id, "utf16le").digest("base64url")}`;
}

function percentEncode(id: string): string {
  // What channels are mostly named like.
  if (/^[\w.:-]*$/.test(id)) return id.replaceAll(":", "%3A");
  let encoded = "";
  for (const byte of Buffer.from(id, "utf8")) {
    const char = String.fromCharCode(byte);
    encoded += byte < 0x80 && /[\w.-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
