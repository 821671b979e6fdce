import { readStrictObject } from "./strict-json.ts";

/** Longest token that is looked at, in characters. */
export const maxTokenLength = 8_192;

const maxHeaderLength = 1_024;
const maxParameterLength = 256;
const maxParameters = 8;

/** Three parts of base64url; `alg: none` comes with an empty third one. */
const threeParts = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Parameters that bring a key along, name a place to fetch one from, or change what is signed. */
const forbiddenParameters = ["jwk", "jku", "x5c", "x5u", "crit", "b64", "zip", "enc"];

/** What is known of a token before its signature was checked. */
export interface TokenForm {
  algorithm: string;
  /** The middle part as it stands there. */
  payload: string;
}

/**
 * Reads what must be right before a key is touched, undefined where it is not. Length comes first, so that a huge token
 * costs nothing; the header must be a short, flat list of strings.
 */
export function readTokenForm(token: string): TokenForm | undefined {
  if (token.length > maxTokenLength || !threeParts.test(token)) return undefined;
  const [encodedHeader = "", payload = "", signature = ""] = token.split(".");
  if (encodedHeader.length > maxHeaderLength) return undefined;
  if ([encodedHeader, payload, signature].some((part) => part.length % 4 === 1)) return undefined;
  const header = readStrictObject(encodedHeader);
  return header !== undefined && isPlainHeader(header) ? { algorithm: header.alg, payload } : undefined;
}

function isPlainHeader(header: Record<string, unknown>): header is { alg: string } {
  const parameters = Object.values(header);
  return (
    parameters.length <= maxParameters &&
    parameters.every((value) => typeof value === "string" && value.length <= maxParameterLength) &&
    forbiddenParameters.every((name) => !Object.hasOwn(header, name)) &&
    Object.hasOwn(header, "alg") &&
    isTokenType(header.typ)
  );
}

/** RFC 7515 lets the type be left out; RFC 9068 names access tokens `at+jwt`. */
function isTokenType(type: unknown): boolean {
  return type === undefined || (typeof type === "string" && /^(application\/)?(at\+)?jwt$/i.test(type));
}
