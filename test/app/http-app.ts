import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

export const secret = "a-secret-that-the-app-knows";

export interface Forwarded {
  headers: IncomingMessage["headers"];
  body: string;
  json: any;
}

export type Answer = (request: Forwarded, response: ServerResponse) => void;

/** An app over HTTP that remembers what it was sent; at a port of its own if it is to come back there. */
export async function startApp(answer: Answer, port = 0) {
  const requests: Forwarded[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.once("end", () => {
      const body = Buffer.concat(chunks).toString();
      const request = { headers: incoming.headers, body, json: JSON.parse(body) };
      requests.push(request);
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { requests, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/socket` };
}

export const json =
  (of: (request: Forwarded) => object): Answer =>
  (request, response) =>
    void response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(of(request)));
