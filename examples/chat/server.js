/** The chat behind a gateway: `npm run example chat`. */
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { createGateway } from "tidegate";
import { chat } from "./chat.js";

const page = readFileSync(new URL("./index.html", import.meta.url));

const server = createServer((request, response) => {
  if (request.url === "/token") void sendToken(response);
  else response.writeHead(200, { "content-type": "text/html" }).end(page);
});

/** Your application would use its own login. */
async function sendToken(response) {
  const { token } = await gateway.sessions.create({ userId: `guest-${randomUUID()}` });
  response.end(token);
}

const gateway = await createGateway({ server });
chat(gateway.io);
await gateway.listen(Number(process.env.PORT ?? 3000));
