import type { Authenticator } from "../auth/authenticator.ts";
import type { TokenClaims } from "../auth/claims.ts";
import type { Identity } from "../auth/identity.ts";
import { appSessionIdOf } from "../auth/session-id.ts";
import type { Session } from "../auth/session-store.ts";
import type { Sessions } from "../auth/sessions.ts";
import type { Tokens } from "../auth/tokens.ts";
import type { DecidedBy, Permissions, Principal } from "../channels/permissions.ts";
import { GatewayError } from "../protocol/errors.ts";
import type { WhyQuestion, WhyStep } from "../protocol/operator/operator-reasons.ts";
import type { Clock } from "../runtime/clock.ts";

export interface WhyDeps {
  tokens: Pick<Tokens, "read">;
  authenticator: Pick<Authenticator, "check">;
  sessions: Pick<Sessions, "get" | "list">;
  permissions: Pick<Permissions, "checkSubscribe" | "checkPublish">;
  /** Redis time, by which tokens expire. */
  clock: Pick<Clock, "now">;
  /** This machine's clock. */
  ownClock: Pick<Clock, "now">;
}

export interface WhyAnswer {
  allowed: boolean;
  /** The code with which it is refused. */
  code?: string | undefined;
  userId?: string | undefined;
  sessionId?: string | undefined;
  steps: WhyStep[];
}

/**
 * Explains step by step whether a token, or a user or session, may connect, and subscribe or publish to a channel. Runs
 * the same checks as a handshake and a client request, and changes nothing.
 */
export async function explain(deps: WhyDeps, question: WhyQuestion): Promise<WhyAnswer> {
  const steps: WhyStep[] = [];
  const answer: WhyAnswer = { allowed: true, steps };

  /** False if it is refused: the steps after it are not taken. */
  async function take(step: string, act: () => Promise<string> | string): Promise<boolean> {
    try {
      steps.push({ step, ok: true, detail: await act() });
      return true;
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      const { code, message, reason } = error;
      const detail = [message, reason?.rule, reason?.detail].filter((part) => part !== undefined).join(" · ");
      steps.push({ step, ok: false, detail });
      Object.assign(answer, { allowed: false, code });
      return false;
    }
  }

  const principal = await (question.token === undefined
    ? principalOf(deps, question, take)
    : principalOfToken(deps, question.token, take));
  if (principal === undefined) return answer;
  Object.assign(answer, { userId: principal.userId, sessionId: principal.sessionId });
  const { channel, act } = question;
  if (channel === undefined) return answer;
  await take(`${act} ${channel}`, async () => {
    if ((await decidedBy(deps, principal, channel, act)) === "hook") return `allowed by the app's ${act} hook`;
    return "allowed by the rule of the channel's kind and the grants below";
  });
  steps.push({ step: "grants", ok: true, detail: grantsOf(principal) });
  return answer;
}

async function decidedBy(
  { permissions }: WhyDeps,
  principal: Principal,
  channel: string,
  act: WhyQuestion["act"],
): Promise<DecidedBy> {
  if (act === "subscribe") return permissions.checkSubscribe(principal, channel);
  const asked = permissions.checkPublish(principal, channel);
  await asked;
  return asked === undefined ? "rule" : "hook";
}

type Take = (step: string, act: () => Promise<string> | string) => Promise<boolean>;

interface Subject extends Principal {
  sessionId: string;
}

async function principalOfToken(deps: WhyDeps, token: string, take: Take): Promise<Subject | undefined> {
  let claims: TokenClaims | undefined;
  let identity: Identity | undefined;
  const isRead = await take("signature and claims", async () => {
    claims = await deps.tokens.read(token);
    return `user ${claims.userId}, session ${claims.sessionId}`;
  });
  if (!isRead || claims === undefined) return undefined;
  const { expiresAt } = claims;
  const isInTime = await take("expiry", () => checkExpiry(expiresAt, deps));
  if (!isInTime) return undefined;
  const isAlive = await take("revocation and session", async () => {
    identity = await deps.authenticator.check(token);
    return `the session is alive and the token is not revoked; it may be used until ${dateOf(identity.expiresAt)}`;
  });
  return isAlive ? identity : undefined;
}

function checkExpiry(expiresAt: number, { clock, ownClock }: WhyDeps): string {
  const [left, leftHere] = [expiresAt - clock.now(), expiresAt - ownClock.now()];
  if (left > 0) return `expires in ${secondsOf(left)} (${dateOf(expiresAt)})`;
  const detail = `expired ${secondsOf(-left)} ago on Redis' clock, ${secondsOf(-leftHere)} ago on this node's`;
  throw new GatewayError("token_expired", undefined, { reason: { rule: "expired", detail } });
}

/** Of a session, or of the newest session of a user. */
async function principalOf(deps: WhyDeps, question: WhyQuestion, take: Take): Promise<Subject | undefined> {
  const { userId = "", sessionId } = question;
  let session: Session | undefined;
  await take("session", async () => {
    session = sessionId === undefined ? (await deps.sessions.list(userId)).at(-1) : await deps.sessions.get(sessionId);
    if (session === undefined) throw new GatewayError("session_expired");
    const { userId: owner, sessionId: id } = session;
    const origin = id === appSessionIdOf(owner) ? ", begun by the app's connect hook" : "";
    return `session ${id} of ${owner}, until ${dateOf(session.expiresAt)}${origin}`;
  });
  return session;
}

function grantsOf({ roles = [], channels }: Principal): string {
  const lists = { roles, subscribe: channels.subscribe, publish: channels.publish };
  return Object.entries(lists)
    .map(([name, values]) => `${name}: ${values.length === 0 ? "none" : values.join(", ")}`)
    .join("; ");
}

const dateOf = (ms: number): string => new Date(ms).toISOString();
const secondsOf = (ms: number): string => `${Math.round(ms / 100) / 10} s`;
