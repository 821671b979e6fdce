/** The chat behind a gateway: `npm run example chat`. */
import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { createGateway } from "tidegate";
import { chat } from "./chat.js";

const page = readFileSync(new URL("./index.html", import.meta.url));
const server = createServer((_request, response) => response.writeHead(200, { "content-type": "text/html" }).end(page));

const gateway = await createGateway({ server, env: process.env });
// Your application would use its own login.
gateway.hooks.connect(({ connection }) => ({ userId: `guest:${String(connection.auth.guest)}` }));
chat(gateway.io);
await gateway.listen(Number(process.env.PORT ?? 3000));
