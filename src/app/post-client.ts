import { Agent as HttpAgent, request as requestHttp, type ClientRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";

export interface PostRequest {
  body: string;
  headers: Record<string, string>;
  /** Max time until the whole response has arrived. */
  timeoutMs: number;
}

export interface PostResponse {
  status: number;
  body: Buffer;
}

/**
 * The app has answered, so it can be reached: the fault is about this request. It does not count for the circuit breaker, or
 * one user whose events the app cannot handle could cut off all others.
 */
export class AnswerFault extends Error {}

const maxResponseBytes = 1_048_576;
/** Max bytes of all responses that are being read. */
const maxBufferedBytes = 64 * 1_048_576;
/**
 * Posts to one URL over keep-alive connections, without following redirects. With `node:http`, because `fetch` takes several
 * times the CPU.
 */
export class PostClient {
  readonly #open: (headers: Record<string, string | number>) => ClientRequest;
  readonly #buffered = { bytes: 0 };

  constructor(url: string) {
    const { protocol, hostname, port, pathname, search } = new URL(url);
    const isTls = protocol === "https:";
    const request = isTls ? requestHttps : requestHttp;
    const agent = new (isTls ? HttpsAgent : HttpAgent)({ keepAlive: true });
    // In brackets if it is an IPv6 address.
    const target = {
      agent,
      hostname: hostname.replaceAll(/[[\]]/g, ""),
      port,
      path: pathname + search,
      method: "POST",
    };
    this.#open = (headers) => request({ ...target, headers });
  }

  /** Rejects with a TimeoutError, or the error of the connection. */
  post({ body, headers, timeoutMs }: PostRequest): Promise<PostResponse> {
    return new Promise((resolve, reject) => {
      const outgoing = this.#open({ ...headers, "content-length": Buffer.byteLength(body) });
      const timer = setTimeout(() => outgoing.destroy(timeoutError()), timeoutMs);
      const end = (): void => clearTimeout(timer);
      outgoing.once("error", (error) => {
        end();
        reject(error);
      });
      outgoing.once("response", (response) => {
        this.#read(response).then(resolve, reject).finally(end);
      });
      outgoing.end(body);
    });
  }

  /** Rejects if the response is too large or ends early; its connection is closed then. */
  #read(response: IncomingMessage): Promise<PostResponse> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        this.#buffered.bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > maxResponseBytes)
          response.destroy(new AnswerFault(`the app answered more than ${maxResponseBytes} bytes`));
        else if (this.#buffered.bytes > maxBufferedBytes)
          response.destroy(new AnswerFault("too many large answers of the app at a time"));
      });
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks) }));
      response.once("error", (error) => reject(error instanceof AnswerFault ? error : endedEarly(error)));
      response.once("close", () => (this.#buffered.bytes -= bytes));
    });
  }
}

const timeoutError = (): Error => Object.assign(new Error("no complete answer in time"), { name: "TimeoutError" });
const endedEarly = (error: Error): Error => new Error("the answer ended early", { cause: error });
