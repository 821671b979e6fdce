import { inject, onTestFinished } from "vitest";
import { createGateway, type Gateway, type GatewayOptions } from "../../src/index.ts";
import { connectClient, type Client, type ClientOptions } from "../support/gateway.ts";
import { freshPrefix, quietLog } from "../support/world.ts";

export const chatKinds = { chat: { subscribe: "public", publish: "public" } };

/** A gateway as an application embeds it, not listening yet; closed when the test ends. */
export async function embed(options: GatewayOptions = {}): Promise<Gateway> {
  const gateway = await createGateway({
    redis: inject("redisUrl"),
    keyPrefix: freshPrefix(),
    jwt: { secret: "a-secret-for-tests-of-at-least-thirty-two-bytes" },
    channels: chatKinds,
    log: quietLog,
    ...options,
    env: { HOST: "127.0.0.1", DRAIN_TIMEOUT_MS: "2000", ACCELERATOR: inject("accelerator"), ...options.env },
  });
  onTestFinished(async () => void (await gateway.close()));
  return gateway;
}

/** A stock client of a fresh session. */
export async function join(gateway: Gateway, userId: string, options?: ClientOptions): Promise<Client> {
  const { token } = await gateway.sessions.create({ userId });
  return connectClient(gateway.url, token ?? "", options);
}
