import { bearer } from "../protocol/bearer.ts";
import { GatewayError } from "../protocol/errors.ts";
import { parseJson } from "../protocol/gate.ts";
import { readApiKeys } from "../config/credentials.ts";
import { createEnvironmentReader, type Environment } from "../config/environment.ts";
import { readHost } from "../config/network.ts";
import { ConfigError, type Problem } from "../config/problems.ts";
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
  const answer = await callGateway<{ token: string | null }>(env, options, {
    method: "POST",
    path: "/v1/sessions",
    body,
    expected: "token",
  });
  if (options.json) return JSON.stringify(answer);
  if (answer.token !== null) return answer.token;
  throw new CallError("the gateway has no signing key: it created the session without a token (see --json)");
}

/** Publishes and returns the publication's place as JSON. */
export async function publish(
  env: Environment,
  publication: { channel: string; event: string; json: string },
  options: PublishOptions,
): Promise<string> {
  const { channel, event, json } = publication;
  const body = { channel, event, data: parseData(json), idempotencyKey: options.idempotencyKey };
  const call = { method: "POST", path: "/v1/publish", body, expected: "channel" };
  return JSON.stringify(await callGateway(env, options, call));
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

interface BackendCall {
  method: string;
  path: string;
  body?: object | undefined;
  /** A field of the answer, by which it is told from that of another server. */
  expected: string;
}

/** Calls a gateway, by default one on this machine. Throws a CallError. */
export async function callGateway<T>(
  env: Environment,
  target: ApiTarget,
  { method, path, body, expected }: BackendCall,
): Promise<T> {
  const address = target.url === undefined ? ownAddress(env) : checkAddress(target.url);
  const headers = { "content-type": "application/json", authorization: bearer(target.key ?? firstKey(env)) };
  const signal = AbortSignal.timeout(callTimeoutMs);
  const init = { method, headers, signal, ...(body && { body: JSON.stringify(body) }) };
  try {
    const answer = await readAnswer(await fetch(urlBelow(address, path), init));
    if (expected in answer) return answer as T;
  } catch (error) {
    if (error instanceof CallError) throw error;
    throw new CallError(`no gateway answered at ${address}; is it running? (see --url)`, { cause: error });
  }
  throw new CallError(`another server than a gateway answered at ${address} (see --url)`);
}

/** The body of a successful response, `{}` if it is no object; otherwise throws with the problem's code and detail. */
async function readAnswer(response: Response): Promise<object> {
  const body = Object(parsed(await response.text())) as { code?: string; detail?: string; title?: string };
  if (response.ok) return body;
  throw new CallError(`${body.code ?? response.status}: ${body.detail ?? body.title ?? response.statusText}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The address of a gateway from the command line. */
export function checkAddress(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new CommandLineError(`--url: ${text} is not a URL such as http://127.0.0.1:3000`);
}

/** Where a gateway of this machine listens, with the same settings. Throws ConfigError. */
export function ownAddress(env: Environment): string {
  const problems: Problem[] = [];
  const reader = createEnvironmentReader(env, problems);
  const host = readHost(reader, "HOST");
  const port = reader.integer("PORT", { min: 0, max: 65_535 }) ?? 3_000;
  if (problems.length > 0) throw new ConfigError(problems);
  const isAnyHost = host === undefined || host === "0.0.0.0" || host === "::";
  return urlOf(isAnyHost ? "127.0.0.1" : host, port);
}

/** The first of API_KEYS, else the development key. */
export function firstKey(env: Environment): string {
  const keys = readApiKeys(createEnvironmentReader(env, []), false);
  return keys[0]?.secret ?? "";
}
