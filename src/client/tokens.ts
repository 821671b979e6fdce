import { messageOf, TidegateError } from "./errors.ts";

/** The token, or a function that returns one; called for every connection and before the token expires. */
export type TokenProvider = string | (() => string | Promise<string>);

/** Characters of a bearer token (RFC 6750); HTML and JSON contain others. */
const tokenCharacters = /^[\w.~+/-]+=*$/;

/**
 * The provider's token. Refuses a proxy's error page or a JSON error, because sending it would end the client. Rejects
 * with a temporary TidegateError if the token function fails.
 */
export async function tokenOf(provider: TokenProvider): Promise<string> {
  if (typeof provider === "string") return provider;
  try {
    const answer: unknown = await provider();
    const token = typeof answer === "string" ? answer.trim() : "";
    if (!tokenCharacters.test(token)) throw new Error("it returned no token.");
    return token;
  } catch (cause) {
    throw new TidegateError("unavailable", `The token function failed: ${messageOf(cause)}`, { cause });
  }
}

/** Whether a text has the compact form of a JSON Web Token; "Forbidden" does not. */
export const isJsonWebToken = (text: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]+$/.test(text);
