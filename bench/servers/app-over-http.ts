/** The app that events are forwarded to: `app-over-http.ts <port>`. Acknowledges each. */
import { createServer } from "node:http";

const body = JSON.stringify({ ack: [{ length: 115 }] });
const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };

const server = createServer((request, response) => {
  request.resume();
  request.once("end", () => response.writeHead(200, headers).end(body));
});
// Longer than a subject waits for its turn.
server.keepAliveTimeout = 120_000;
server.listen(Number(process.argv[2]), "127.0.0.1");
