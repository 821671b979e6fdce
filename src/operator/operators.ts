import { createHmac, hash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { LimitRefusal } from "../commands/refusal.ts";
import type { OperatorRole } from "../protocol/operator/operator.ts";
import { GatewayError } from "../protocol/errors.ts";
import { storeUnavailable } from "../redis/refusals.ts";
import { addressGroup } from "../runtime/address-group.ts";
import type { Clock } from "../runtime/clock.ts";
import type { RateLimitResult } from "../throttling/rate-limit-result.ts";

/** Somebody who operates the gateway: `viewer` sees, `admin` also acts. */
export interface OperatorAccount {
  name: string;
  secret: string;
  role: OperatorRole;
}

export interface OperatorsDeps {
  operators: readonly OperatorAccount[];
  /** Counts an attempt, by address and subject. */
  login: (address: string, subject: string) => Promise<RateLimitResult>;
  clock: Pick<Clock, "now">;
}

export interface OperatorSignIn {
  name: string;
  role: OperatorRole;
  /** Epoch milliseconds. */
  expiresAt: number;
  /** The value of `Set-Cookie`. */
  cookie: string;
}

/** Who operates the gateway, by a secret as bearer token or by the cookie of the console. */
export interface Operators {
  /** Throws `unauthorized`, `forbidden` for a cookie from another site, and `rate_limited`. */
  authenticate(request: IncomingMessage, address: string): Promise<Pick<OperatorAccount, "name" | "role">>;
  /** Throws `unauthorized`, `rate_limited`, or `unavailable` without Redis: secrets must not be guessed without limit. */
  signIn(
    login: { name: string; secret: string },
    from: { address: string; isSecure: boolean },
  ): Promise<OperatorSignIn>;
}

const cookieName = "tidegate_operator";
const sessionMs = 8 * 3_600_000;
/** Max addresses whose refusal is remembered. */
const maxBlocked = 10_000;

/** The value of `Set-Cookie` that ends the session in this browser. */
export const signOutCookie = `${cookieName}=; Path=/v1/operator; HttpOnly; SameSite=Strict; Max-Age=0`;

export function createOperators({ operators, login, clock }: OperatorsDeps): Operators {
  const known = operators.map((operator) => ({ ...operator, digest: digestOf(operator.secret) }));
  const blocked = new Map<string, number>();

  /** Compares with every secret, so that the time does not tell which one matched. */
  function bySecret(secret: string, name?: string): OperatorAccount | undefined {
    const digest = digestOf(secret);
    const matching = known.filter((one) => timingSafeEqual(one.digest, digest));
    return matching.find((one) => name === undefined || one.name === name);
  }

  function checkBlocked(group: string): void {
    const until = blocked.get(group);
    if (until === undefined) return;
    if (until > clock.now()) throw tooMany(until - clock.now());
    blocked.delete(group);
  }

  /** Only failures count, so a script with the right secret is never limited here. */
  async function countFailure(group: string): Promise<void> {
    const result = await login(group, "operator");
    if (result.allowed) return;
    if (result.reason === "store_away") throw storeUnavailable();
    if (blocked.size >= maxBlocked) blocked.clear();
    blocked.set(group, clock.now() + result.retryAfterMs);
    throw tooMany(result.retryAfterMs);
  }

  async function fromBearer(secret: string, group: string): Promise<OperatorAccount> {
    checkBlocked(group);
    const operator = bySecret(secret);
    if (operator !== undefined) return operator;
    await countFailure(group);
    throw unauthorized("The operator secret is invalid.");
  }

  function fromCookie(request: IncomingMessage): OperatorAccount {
    const token = cookieOf(request);
    if (token === undefined) throw unauthorized("Sign in, or send an operator secret as Authorization: Bearer.");
    const [name = "", expires = "", signature = ""] = token.split(":");
    const operator = known.find((one) => isSignature(signature, sign(one, Number(expires))) && one.name === name);
    if (operator === undefined || !(Number(expires) > clock.now())) throw unauthorized("Sign in again.");
    checkSameSite(request);
    return operator;
  }

  return {
    async authenticate(request, address) {
      const secret = /^bearer +(\S.*)$/i.exec(request.headers.authorization ?? "")?.[1];
      // Node.js reads the bytes of a header as Latin-1.
      return secret === undefined
        ? fromCookie(request)
        : fromBearer(Buffer.from(secret, "latin1").toString(), addressGroup(address));
    },

    async signIn({ name, secret }, { address, isSecure }) {
      const group = addressGroup(address);
      checkBlocked(group);
      const operator = bySecret(secret, name);
      if (operator === undefined) {
        await countFailure(group);
        throw unauthorized("The name or the secret is wrong.");
      }
      const expiresAt = clock.now() + sessionMs;
      const value = `${operator.name}:${expiresAt}:${sign(operator, expiresAt)}`;
      const attributes = `Path=/v1/operator; HttpOnly; SameSite=Strict; Max-Age=${sessionMs / 1_000}`;
      const cookie = `${cookieName}=${value}; ${attributes}${isSecure ? "; Secure" : ""}`;
      return { name: operator.name, role: operator.role, expiresAt, cookie };
    },
  };
}

/** Signed with the operator's secret: every node can check it, and another secret ends all sessions. */
const sign = ({ name, secret, role }: OperatorAccount, expiresAt: number): string =>
  createHmac("sha256", secret).update(`operator session ${name} ${role} ${expiresAt}`).digest("base64url");

function isSignature(sent: string, expected: string): boolean {
  const [a, b] = [Buffer.from(sent), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/**
 * The cookie is `SameSite=Strict`. In addition, a write needs a header that no form can send and that a script of another
 * origin may not send without our permission, which we never give.
 */
function checkSameSite({ method, headers }: IncomingMessage): void {
  const site = headers["sec-fetch-site"];
  const isForeign = site !== undefined && site !== "same-origin" && site !== "none";
  const isRead = method === "GET" || method === "HEAD";
  if (!isForeign && (isRead || headers["x-tidegate-console"] !== undefined)) return;
  throw new GatewayError("forbidden", "Requests from other sites are not allowed.", { reason: { rule: "csrf" } });
}

function cookieOf({ headers }: IncomingMessage): string | undefined {
  const pairs = (headers.cookie ?? "").split(/; */);
  return pairs.find((pair) => pair.startsWith(`${cookieName}=`))?.slice(cookieName.length + 1);
}

const digestOf = (secret: string): Buffer => hash("sha256", secret, "buffer");

const unauthorized = (message: string): GatewayError =>
  new GatewayError("unauthorized", message, { reason: { rule: "operator" } });

const tooMany = (retryAfterMs: number): GatewayError =>
  new LimitRefusal("logins", { retryAfterMs: Math.ceil(retryAfterMs) }, "Too many wrong secrets from this address.");
