import { Agent, request as send, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream";

export interface Relay {
  /** Relays a request to the listener at a path, and the response back. `otherwise` runs if there was no response. */
  pass(socketPath: string, request: IncomingMessage, response: ServerResponse, otherwise: () => void): void;
  stop(): void;
}

/** The listener must not close idle connections itself: a request may just have been sent on one. */
export function createRelay(): Relay {
  const agent = new Agent({ keepAlive: true });

  function pass(socketPath: string, request: IncomingMessage, response: ServerResponse, otherwise: () => void): void {
    const { method, url: path } = request;
    const passed = send({ agent, socketPath, method, path, headers: withoutHops(request.rawHeaders) });
    passed.once("response", (answer) => answerWith(answer, response));
    passed.on("error", () => {
      if (response.headersSent) response.destroy();
      else if (!response.destroyed) otherwise();
    });
    // If the client disconnects, the other worker must notice.
    response.once("close", () => passed.destroy());
    request.pipe(passed);
  }

  return { pass, stop: () => agent.destroy() };
}

function answerWith(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 502, withoutHops(answer.rawHeaders));
  // If either side fails, both are destroyed; nothing else can be done.
  pipeline(answer, response, () => undefined);
}

/** Hop-by-hop fields (RFC 9110, 7.6.1), and those that Node handles itself. */
const hops: ReadonlySet<string> = new Set([
  "connection",
  "expect",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** Alternating names and values, in the received order. */
function withoutHops(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    const [name = "", value = ""] = headers.slice(at, at + 2);
    if (!hops.has(name.toLowerCase())) kept.push(name, value);
  }
  return kept;
}
