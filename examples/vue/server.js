/** Serves the built page, signs guests in and runs the gateway, on one port: `npm install && npm start`. */
import { createServer } from "node:http";
import express from "express";
import { createGateway } from "tidegate";

const app = express();
const server = createServer(app);
const channels = { chat: { subscribe: "public", publish: "public", history: { size: 100, ttlSeconds: 3600 } } };
const gateway = await createGateway({ server, env: process.env, channels });

app.use(express.static("dist"));
app.post("/token/:guest", async ({ params }, response) => {
  const { token } = await gateway.sessions.create({ userId: `guest:${params.guest}` });
  response.type("text").send(token);
});
server.listen(Number(process.env.PORT ?? 3000));
