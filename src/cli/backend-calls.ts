import { GatewayError } from "../protocol/errors.ts";
import { parseJson } from "../protocol/gate.ts";
import { readApiKeys } from "../config/credentials.ts";
import { createEnvironmentReader, type Environment } from "../config/environment.ts";
import { readHost } from "../config/network.ts";
import { urlOf } from "../gateway/url.ts";
import { urlBelow } from "../runtime/url-below.ts";

/** Address of the gateway, and the API key. */
interface ApiTarget {
  url?: string;
  key?: string;
}

export interface TokenOptions extends ApiTarget {
  role?: string[];
  ttl?: number;
  json?: true;
}

export interface PublishOptions extends ApiTarget {
  idempotencyKey?: string;
}

/** The gateway refused the call or did not respond. The message is shown to the user. */
export class CallError extends Error {}

/** The command line names too little, or too much. */
export class CommandLineError extends Error {}

/** Creates a session and returns its token, or the whole answer as JSON. */
export async function mintToken(env: Environment, userId: string, options: TokenOptions): Promise<string> {
  const body = { userId, roles: options.role, ttlSeconds: options.ttl };
  const answer = await post(env, options, "/v1/sessions", body);
  return options.json ? JSON.stringify(answer) : String((answer as { token?: unknown }).token);
}

/** Publishes and returns the publication's place as JSON. */
export async function publish(
  env: Environment,
  publication: { channel: string; event: string; json: string },
  options: PublishOptions,
): Promise<string> {
  const { channel, event, json } = publication;
  const body = { channel, event, data: parseData(json), idempotencyKey: options.idempotencyKey };
  return JSON.stringify(await post(env, options, "/v1/publish", body));
}

/** Parses strictly, like the gateway, which could not detect numbers that were rounded here. */
function parseData(text: string): unknown {
  try {
    return parseJson(text, { maxBytes: maxDataBytes, maxKeys: maxDataBytes });
  } catch (error) {
    const reason = error instanceof GatewayError && error.field !== undefined ? error.message : "not JSON";
    throw new CallError(`invalid data: ${reason}: ${text}`, { cause: error });
  }
}

/** As many as the gateway reads of a body. */
const maxDataBytes = 1_048_576;

const callTimeoutMs = 10_000;

const post = (env: Environment, target: ApiTarget, path: string, body: object): Promise<unknown> =>
  callGateway(env, target, { method: "POST", path, body });

/** Calls a gateway, by default one on this machine. Throws a CallError. */
export async function callGateway(
  env: Environment,
  target: ApiTarget,
  { method, path, body }: { method: string; path: string; body?: object | undefined },
): Promise<unknown> {
  const address = target.url ?? ownAddress(env);
  const url = urlBelow(address, path);
  const headers = { "content-type": "application/json", authorization: `Bearer ${target.key ?? firstKey(env)}` };
  const signal = AbortSignal.timeout(callTimeoutMs);
  try {
    return await readAnswer(await fetch(url, { method, headers, signal, ...(body && { body: JSON.stringify(body) }) }));
  } catch (error) {
    if (error instanceof CallError) throw error;
    throw new CallError(`no gateway answered at ${address}; is it running? (see --url)`, { cause: error });
  }
}

/** The body of a successful response; otherwise throws with the problem's code and detail. */
async function readAnswer(response: Response): Promise<unknown> {
  const body = (await response.json().catch(() => ({}))) as { code?: string; detail?: string; title?: string };
  if (response.ok) return body;
  throw new CallError(`${body.code ?? response.status}: ${body.detail ?? body.title ?? response.statusText}`);
}

/** Where a gateway of this machine listens, with the same settings. */
export function ownAddress(env: Environment): string {
  const host = readHost(createEnvironmentReader(env, []), "HOST");
  const isAnyHost = host === undefined || host === "0.0.0.0" || host === "::";
  return urlOf(isAnyHost ? "127.0.0.1" : host, Number(env["PORT"] || 3_000));
}

/** The first of API_KEYS, else the development key. */
export function firstKey(env: Environment): string {
  const keys = readApiKeys(createEnvironmentReader(env, []), false);
  return keys[0]?.secret ?? "";
}
