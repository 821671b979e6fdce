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

  /** Hash { epoch, offset, stamp }; TTL: the channel's meta life, renewed by each publication; tag: channel. */
  channelMeta(channel: string): string;
  /** Stream of publications, ids `<stamp>-<offset>`; TTL: the kind's history; tag: channel. */
  channelLog(channel: string): string;
  /** String, the answer given first; TTL: idempotency window; tag: channel. */
  channelIdempotency(channel: string, key: string): string;
  /** Sharded pub/sub channel of a channel's publications; tag: channel. */
  channelFeed(channel: string): string;
  /** String, the last stamp given to any publication; no TTL (one key); not used on Cluster. */
  stamp(): string;

  /** Hash of a login; TTL: idle time, up to the session's end; tag: user (a session id carries it, see `auth/session-id.ts`). */
  session(userTag: string, sessionId: string): string;
  /** Sorted set of a user's session ids by creation; TTL: until the last of them ends; tag: user. */
  userSessions(userTag: string): string;
  /** String, a token no longer good; TTL: the token's remaining life; tag: token. */
  revokedToken(jti: string): string;

  /** Hash or sorted set of a limiter; TTL derived from the rule; tag: limiter and subject. */
  limiter(limiter: string, subject: string): string;
  /** String, a lease's holder; TTL: the lease; tag: lease. */
  lease(name: string): string;
  /** String, a lease's fencing counter; no TTL (a number per named lease, of which there are few); tag: lease. */
  fence(name: string): string;

  /** `<prefix>:<name>` for keys that exist once, such as a stream of commands. */
  single(name: string): string;
  /** `<prefix>:{<room>:<id>}:<part>`; what the methods above are made of, for rooms that come later. */
  of(room: string, id: string, part: string): string;
}

export function createKeys(prefix: string): Keys {
  const of = (room: string, id: string, part: string): string => `${prefix}:{${room}:${encodeId(id)}}:${part}`;
  return {
    prefix,
    channelMeta: (channel) => of("ch", channel, "meta"),
    channelLog: (channel) => of("ch", channel, "log"),
    channelIdempotency: (channel, key) => of("ch", channel, `once:${encodeId(key)}`),
    channelFeed: (channel) => of("ch", channel, "feed"),
    stamp: () => `${prefix}:stamp`,
    session: (userTag, sessionId) => of("user", userTag, `session:${encodeId(sessionId)}`),
    userSessions: (userTag) => of("user", userTag, "sessions"),
    revokedToken: (jti) => of("token", jti, "revoked"),
    limiter: (limiter, subject) => of(`limit-${limiter}`, subject, "state"),
    lease: (name) => of("lease", name, "holder"),
    fence: (name) => of("lease", name, "fence"),
    single: (name) => `${prefix}:${name}`,
    of,
  };
}

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
  let encoded = "";
  for (const byte of Buffer.from(id, "utf8")) {
    const char = String.fromCharCode(byte);
    encoded += byte < 0x80 && /[\w.-]/.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
