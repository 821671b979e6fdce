import type { IncomingMessage } from "node:http";
import { GatewayError } from "../protocol/errors.ts";
import { parseJson } from "../protocol/gate.ts";

/** Most bytes of a body: a batch of 1000 small publications, or 15 of the largest. */
export const maxBodyBytes = 1_048_576;

/** Keys and elements of a body: a batch of 1000 with a hundred each. */
const maxBodyKeys = 100_000;

/** Reads and validates a JSON body; undefined if none was sent. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  if (!hasBody(request)) return undefined;
  checkType(request);
  return parseJson(await readBytes(request), { maxBytes: maxBodyBytes, maxKeys: maxBodyKeys });
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

const jsonType = /^application\/json[ \t]*(?:;[ \t]*charset="?utf-8"?[ \t]*)?$/i;

/** Compressed bodies are refused unread: a small one can unpack to any size. */
function checkType({ headers }: IncomingMessage): void {
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") throw unsupported("Send the body without a Content-Encoding.");
  const type = headers["content-type"];
  if (type === undefined || !jsonType.test(type)) throw unsupported("Send the body as application/json in UTF-8.");
}

const unsupported = (message: string): GatewayError => new GatewayError("unsupported_media_type", message);

function readBytes(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (Number(request.headers["content-length"] ?? 0) > maxBodyBytes) return reject(tooLarge());
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBodyBytes) stopReading(request, chunks, reject);
      else chunks.push(chunk);
    });
    request.once("end", () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size)));
    request.once("error", () => reject(cutShort()));
  });
}

function stopReading(request: IncomingMessage, chunks: Buffer[], reject: (error: Error) => void): void {
  request.removeAllListeners("data");
  chunks.length = 0;
  reject(tooLarge());
}

const tooLarge = (): GatewayError =>
  new GatewayError("payload_too_large", `The body is larger than ${maxBodyBytes} bytes.`);

const cutShort = (): GatewayError => new GatewayError("bad_request", "The body ended early.");
