import { createHash, randomBytes } from "node:crypto";
import { GatewayError } from "../protocol/errors.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import type { Clock } from "../runtime/clock.ts";
import { orRefusal } from "../redis/refusals.ts";

/**
 * Tickets with which a browser's `EventSource` opens a stream: it can send no header, and a token does not belong into a
 * URL.
 *
 * A ticket is good for one use within 30 seconds. That use returns a secret resume key, which the stream carries in its
 * event ids: an `EventSource` that reconnects sends the same URL with the `Last-Event-ID` header, and both together are
 * accepted as long as the session lives. A URL that somebody finds in a log is of no use.
 */
export interface TicketStore {
  create(session: TicketSession): Promise<Ticket>;
  /** Throws `unauthorized` if the ticket is unknown, expired or used. */
  use(ticket: string, resumeKey: string): Promise<UsedTicket>;
  /** The resume key is good until then. */
  keepUntil(ticket: string, expiresAt: number): Promise<void>;
}

export interface TicketSession {
  sessionId: string;
  userId: string;
}

export interface Ticket {
  ticket: string;
  /** Epoch milliseconds. */
  expiresAt: number;
}

export interface UsedTicket extends TicketSession {
  resumeKey: string;
  /** Epoch milliseconds. */
  issuedAt: number;
}

const lifeMs = 30_000;
/** Between the use of a ticket and `keepUntil`. */
const handshakeMs = 60_000;

export function createTicketStore({
  commands,
  keys,
  clock,
}: {
  commands: RedisClient;
  keys: Keys;
  clock: Clock;
}): TicketStore {
  const takeScript = loadScript(commands, new URL("./take-ticket.lua", import.meta.url));
  const keyOf = (ticket: string): string => keys.ticket(createHash("sha256").update(ticket).digest("base64url"));

  return {
    async create({ sessionId, userId }) {
      const ticket = randomKey();
      const issuedAt = clock.now();
      const session = JSON.stringify({ sessionId, userId, issuedAt });
      const written = commands.multi().hset(keyOf(ticket), "session", session).pexpire(keyOf(ticket), lifeMs).exec();
      await orRefusal(written);
      return { ticket, expiresAt: issuedAt + lifeMs };
    },

    async use(ticket, resumeKey) {
      const reply = await orRefusal(takeScript.run([keyOf(ticket)], [resumeKey, randomKey(), handshakeMs]));
      if (reply === null) throw new GatewayError("unauthorized", "The ticket is unknown, expired or already used.");
      const [session, ownKey] = reply as [string, string];
      return { ...(JSON.parse(session) as Omit<UsedTicket, "resumeKey">), resumeKey: ownKey };
    },

    async keepUntil(ticket, expiresAt) {
      await orRefusal(commands.pexpireat(keyOf(ticket), Math.ceil(expiresAt)));
    },
  };
}

const randomKey = (): string => randomBytes(18).toString("base64url");
