import { readStrictObject } from "./strict-json.ts";

/** Max length of a token in characters. */
export const maxTokenLength = 8_192;

const maxHeaderLength = 1_024;
const maxParameterLength = 256;
const maxParameters = 8;

/** Three parts of base64url; `alg: none` has an empty third one. */
const threeParts = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** Whether a text may be a token at all. */
export const isTokenShaped = (text: string): boolean => threeParts.test(text);

/** Parameters that contain a key, name a place to fetch one from, or change what is signed. */
const forbiddenParameters = ["jwk", "jku", "x5c", "x5u", "crit", "b64", "zip", "enc"];

/** A token before its signature was checked. */
export interface TokenForm {
  algorithm: string;
  /** The encoded middle part. */
  payload: string;
}

/** Undefined if the token must be refused before a key is used. */
export type ReadTokenForm = (token: string) => TokenForm | undefined;

/**
 * Checks the length first, so that a huge token costs nothing; the header must be a short, flat list of strings. All tokens
 * of an issuer start with the same header, so the last valid one is cached and not decoded again.
 */
export function createTokenFormReader(): ReadTokenForm {
  let last: { encoded: string; algorithm: string } | undefined;

  function algorithmOf(encoded: string): string | undefined {
    if (last?.encoded === encoded) return last.algorithm;
    const algorithm = readAlgorithm(encoded);
    // A copy: a substring would keep the whole token in memory.
    if (algorithm !== undefined) last = { encoded: Buffer.from(encoded, "latin1").toString("latin1"), algorithm };
    return algorithm;
  }

  return (token) => readTokenForm(token, algorithmOf);
}

function readTokenForm(token: string, algorithmOf: (header: string) => string | undefined): TokenForm | undefined {
  if (token.length > maxTokenLength || !threeParts.test(token)) return undefined;
  const [encodedHeader = "", payload = "", signature = ""] = token.split(".");
  if (encodedHeader.length > maxHeaderLength) return undefined;
  if ([encodedHeader, payload, signature].some((part) => part.length % 4 === 1)) return undefined;
  const algorithm = algorithmOf(encodedHeader);
  return algorithm === undefined ? undefined : { algorithm, payload };
}

function readAlgorithm(encodedHeader: string): string | undefined {
  const header = readStrictObject(encodedHeader);
  return header !== undefined && isPlainHeader(header) ? header.alg : undefined;
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

/** Optional in RFC 7515; RFC 9068 access tokens have the type `at+jwt`. */
function isTokenType(type: unknown): boolean {
  return type === undefined || (typeof type === "string" && /^(application\/)?(at\+)?jwt$/i.test(type));
}
