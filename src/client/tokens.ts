import { messageOf, TidegateError } from "./errors.ts";

/** The token, or a function that returns one; called for every connection and before the token expires. */
export type TokenProvider = string | (() => string | Promise<string>);

export interface TokenSource {
  /** Whether `get` may return another token. */
  readonly canRefresh: boolean;
  /** Rejects with a temporary TidegateError if the token function fails. */
  get(): Promise<string>;
}

export function createTokens(provider: TokenProvider): TokenSource {
  if (typeof provider === "string") return { canRefresh: false, get: () => Promise.resolve(provider) };
  return {
    canRefresh: true,
    async get() {
      try {
        return tokenIn(await provider());
      } catch (cause) {
        throw new TidegateError("unavailable", `The token function failed: ${messageOf(cause)}`, { cause });
      }
    },
  };
}

/** Characters of a bearer token (RFC 6750); HTML and JSON contain others. */
const tokenCharacters = /^[\w.~+/-]+=*$/;

/** Refuses a proxy's error page or a JSON error: sending it as a token would end the client. */
function tokenIn(answer: unknown): string {
  const token = typeof answer === "string" ? answer.trim() : "";
  if (!tokenCharacters.test(token)) throw new Error("it did not return a token.");
  return token;
}

/** Whether a text has the compact form of a JSON Web Token; "Forbidden" does not. */
export const isJsonWebToken = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);
