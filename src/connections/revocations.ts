import type { Identity } from "../auth/identity.ts";
import type { Disconnection, Revocations } from "../auth/revocations.ts";
import type { Control, ControlCommand } from "../cluster/control.ts";
import { closing, type Closing } from "../protocol/closings.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Connection } from "./connection.ts";
import type { Connections } from "./connections.ts";

/** Which live connections a command applies to, and the closing that they receive. */
type Revocation = { closing: Closing } & (
  | { type: "close.session"; sessionId: string }
  | { type: "close.user"; userId: string; issuedBefore?: number | undefined }
  | { type: "close.token"; tokenId: string }
);

/** Types of the control commands that close connections. */
export const revocationTypes = ["close.session", "close.user", "close.token"] as const satisfies Revocation["type"][];

/** How long revocations are remembered for handshakes in flight; longer than any handshake. */
const rememberMs = 60_000;

export interface NodeRevocations {
  /** Applies a control command on this node; returns how many connections it closed. */
  perform(command: ControlCommand): number;
  /** Call before a handshake reads from Redis. */
  mark(): number;
  /** The closing of a revocation that arrived after the mark and applies to this identity. */
  since(mark: number, identity: Identity): Closing | undefined;
}

/**
 * Revocations on this node. A connection is either registered when the command arrives and closed by it, or registered
 * later and then checked against remembered commands; there is no moment in between.
 */
export function createNodeRevocations({
  connections,
  forgetAnswers,
  clock,
}: {
  connections: Connections;
  /** Forgets what an app has answered about them, so that it is asked again. */
  forgetAnswers?: ((about: { sessionId: string } | { userId: string }) => void) | undefined;
  clock: Clock;
}): NodeRevocations {
  const remembered: { sequence: number; at: number; revocation: Revocation }[] = [];
  let sequence = 0;

  function remember(revocation: Revocation): void {
    const now = clock.monotonic();
    const firstKept = remembered.findIndex(({ at }) => now - at < rememberMs);
    remembered.splice(0, firstKept === -1 ? remembered.length : firstKept);
    remembered.push({ sequence: ++sequence, at: now, revocation });
  }

  return {
    perform(command) {
      const revocation = toRevocation(command);
      if (revocation === undefined) return 0;
      remember(revocation);
      if (revocation.type !== "close.token") forgetAnswers?.(subjectOf(revocation));
      const affected = connectionsOf(connections, revocation);
      for (const connection of affected) connection.close(revocation.closing);
      return affected.length;
    },
    mark: () => sequence,
    since: (mark, identity) =>
      remembered.find((entry) => entry.sequence > mark && appliesTo(entry.revocation, identity))?.revocation.closing,
  };
}

/** Revocations across all nodes: sent through the control log and confirmed by every living node. */
export function createRevocations(control: Control): Revocations {
  async function send(command: ControlCommand): Promise<Disconnection> {
    const { count, nodes, acknowledged } = await control.command(command);
    return { disconnected: count, nodes, acknowledged };
  }
  const close = (revocation: Revocation): Promise<Disconnection> => send({ ...revocation });

  return {
    revokeSession: (sessionId) => close({ type: "close.session", sessionId, closing: closing("session_revoked") }),
    revokeUserSessions: (userId) => close({ type: "close.user", userId, closing: closing("session_revoked") }),
    revokeToken: (tokenId) => close({ type: "close.token", tokenId, closing: closing("token_revoked") }),
    revokeTokensBefore: (userId, issuedBefore) =>
      close({ type: "close.user", userId, issuedBefore, closing: closing("token_revoked") }),
    disconnectUser: (userId, why) => close({ type: "close.user", userId, closing: why }),
    // No node has a handler for it: it is confirmed in its turn.
    settle: () => send({ type: "barrier" }),
  };
}

const subjectOf = (revocation: Exclude<Revocation, { type: "close.token" }>) =>
  revocation.type === "close.session" ? { sessionId: revocation.sessionId } : { userId: revocation.userId };

function connectionsOf(connections: Connections, revocation: Revocation): readonly Connection[] {
  if (revocation.type === "close.session") return connections.ofSession(revocation.sessionId);
  if (revocation.type === "close.token") return connections.ofToken(revocation.tokenId);
  return connections.ofUser(revocation.userId).filter(({ identity }) => appliesTo(revocation, identity));
}

function appliesTo(revocation: Revocation, { sessionId, userId, tokenId, issuedAt }: Identity): boolean {
  if (revocation.type === "close.session") return revocation.sessionId === sessionId;
  if (revocation.type === "close.token") return revocation.tokenId === tokenId;
  return revocation.userId === userId && issuedAt < (revocation.issuedBefore ?? Infinity);
}

/** Validated, because a node of another version may have written it. */
function toRevocation(command: ControlCommand): Revocation | undefined {
  const { type, sessionId, userId, tokenId, issuedBefore, closing: why } = command;
  const parsed = toClosing(why);
  if (parsed === undefined) return undefined;
  if (type === "close.session" && typeof sessionId === "string") return { type, sessionId, closing: parsed };
  if (type === "close.user" && typeof userId === "string")
    return { type, userId, closing: parsed, ...(typeof issuedBefore === "number" && { issuedBefore }) };
  if (type === "close.token" && typeof tokenId === "string") return { type, tokenId, closing: parsed };
  return undefined;
}

function toClosing(value: unknown): Closing | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { code, message, reconnect } = value as Partial<Record<keyof Closing, unknown>>;
  if (typeof code !== "string" || typeof message !== "string" || typeof reconnect !== "boolean") return undefined;
  return { code, message, reconnect };
}
