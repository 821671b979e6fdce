import { hash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { GatewayError } from "../protocol/errors.ts";
import { headerValues } from "./headers.ts";

/** An API key of a backend. Logs and limits use the name. A name may have several secrets during rotation. */
export interface ApiKey {
  name: string;
  secret: string;
}

/** Names the key a request carries as `Authorization: Bearer <key>`; throws `unauthorized`. */
export type Authenticate = (request: IncomingMessage) => string;

/**
 * Compares digests instead of secrets, because digests have equal lengths and reveal nothing about common prefixes.
 * Every key is compared each time, so the duration does not reveal which one matched.
 */
export function createAuthenticate(keys: readonly ApiKey[]): Authenticate {
  const known = keys.map(({ name, secret }) => ({ name, digest: digestOf(Buffer.from(secret)) }));

  return (request) => {
    const digest = digestOf(bearerOf(request));
    let name: string | undefined;
    for (const key of known) {
      if (timingSafeEqual(key.digest, digest)) name = key.name;
    }
    if (name === undefined) throw unauthorized("The API key is invalid.");
    return name;
  };
}

const scheme = /^bearer +(?=\S)/i;

/** The key as it was sent. Two headers are refused: proxies and we might not choose the same one. */
function bearerOf(request: IncomingMessage): Buffer {
  const [header, ...others] = headerValues(request, "authorization");
  if (header === undefined) throw unauthorized("Send the API key as Authorization: Bearer <key>.");
  const start = scheme.exec(header)?.[0].length;
  if (start === undefined || others.length > 0) throw unauthorized("Send exactly one Authorization: Bearer <key>.");
  return Buffer.from(header.slice(start), "latin1");
}

const digestOf = (secret: Buffer): Buffer => hash("sha256", secret, "buffer");

const unauthorized = (message: string): GatewayError =>
  new GatewayError("unauthorized", message, { reason: { rule: "api_key" } });
