import { TidegateError } from "./errors.ts";

/** The token, or what gives one; asked again for every connection and when the token is about to end. */
export type TokenProvider = string | (() => string | Promise<string>);

export interface Tokens {
  /** Whether asking again may give another token. */
  readonly canRefresh: boolean;
  /** Rejects with a temporary TidegateError if the token function fails: its next answer may be a good one. */
  get(): Promise<string>;
}

export function createTokens(provider: TokenProvider): Tokens {
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

/** The characters of a bearer token (RFC 6750); no page and no JSON is made of them alone. */
const tokenCharacters = /^[\w.~+/-]+=*$/;

/** The page of a proxy whose backend is away, or a JSON error, is no token: sending it would end the client. */
function tokenIn(answer: unknown): string {
  const token = typeof answer === "string" ? answer.trim() : "";
  if (!tokenCharacters.test(token)) throw new Error("it did not return a token.");
  return token;
}

/** Whether a text has the compact form of a JSON Web Token. "Forbidden" has not, though its characters would do. */
export const isJsonWebToken = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
