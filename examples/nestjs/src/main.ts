/** Nest's own WebSocket gateways on Tidegate: `npm install && npm start`. */
import "reflect-metadata";
import { Module } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { createGateway } from "tidegate";
import { ChatGateway } from "./chat.gateway.js";
import { TidegateAdapter } from "./tidegate.adapter.js";

@Module({ providers: [ChatGateway] })
class AppModule {}

const app = await NestFactory.create(AppModule, { logger: ["error", "warn"] });
const gateway = await createGateway({
  server: app.getHttpServer(),
  env: process.env,
  channels: { chat: { deliver: "event" } },
});
// Your application would use its own login.
gateway.hooks.connect(({ connection }) => ({ userId: `guest:${String(connection?.auth.guest)}` }));
app.useWebSocketAdapter(new TidegateAdapter(gateway));
app.enableShutdownHooks();
await app.listen(Number(process.env.PORT ?? 3000));
