import { TidegateError } from "./errors.ts";

/** The token, or what gives one; asked again for every connection and when the token is about to end. */
export type TokenProvider = string | (() => string | Promise<string>);

export interface Tokens {
  /** Whether asking again may give another token. */
  readonly canRefresh: boolean;
  /** Rejects with a passing TidegateError where the provider fails: its next answer may be a good one. */
  get(): Promise<string>;
}

export function createTokens(provider: TokenProvider): Tokens {
  if (typeof provider === "string") return { canRefresh: false, get: () => Promise.resolve(provider) };
  return {
    canRefresh: true,
    async get() {
      try {
        return await provider();
      } catch (cause) {
        throw new TidegateError("unavailable", "The token provider failed.", { cause });
      }
    },
  };
}
