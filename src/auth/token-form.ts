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

/** Undefined where something is wrong that must be right before a key is touched. */
export type ReadTokenForm = (token: string) => TokenForm | undefined;

/**
 * Length comes first, so that a huge token costs nothing; the header must be a short, flat list of strings. An issuer's
 * tokens all begin with the same header: the last good one is remembered, letter for letter, and not read again.
 */
export function createTokenFormReader(): ReadTokenForm {
  let last: { encoded: string; algorithm: string } | undefined;

  function algorithmOf(encoded: string): string | undefined {
    if (last?.encoded === encoded) return last.algorithm;
    const algorithm = readAlgorithm(encoded);
    // A copy: a part of a string keeps all of it, here a token, in memory.
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

/** RFC 7515 lets the type be left out; RFC 9068 names access tokens `at+jwt`. */
function isTokenType(type: unknown): boolean {
  return type === undefined || (typeof type === "string" && /^(application\/)?(at\+)?jwt$/i.test(type));
}
