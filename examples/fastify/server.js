/** A chat beside Fastify's routes, on one port: `npm install && npm start`. */
import Fastify from "fastify";
import { createGateway } from "tidegate";

const fastify = Fastify();
fastify.post("/announcements", ({ body }) =>
  gateway.publish({ channel: "chat:lobby", event: "chat message", data: body.text }),
);
await fastify.ready(); // every plugin has added its listeners

const channels = { chat: { deliver: "event" } };
const gateway = await createGateway({ server: fastify.server, env: process.env, channels });
// Your application would use its own login.
gateway.hooks.connect(({ connection }) => ({ userId: `guest:${String(connection.auth.guest)}` }));

gateway.io.on("connection", async (socket) => {
  await socket.join("chat:lobby");
  socket.on("chat message", (text) => gateway.io.to("chat:lobby").emit("chat message", text));
});
// With a host: for `localhost`, its default, Fastify listens with a second server.
await fastify.listen({ port: Number(process.env.PORT ?? 3000), host: "0.0.0.0" });

process.once("SIGTERM", async () => {
  await gateway.close();
  await fastify.close();
});
