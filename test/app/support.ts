import { inject, onTestFinished } from "vitest";
import { createGateway, type Contract, type Gateway, type GatewayOptions, type OpenContract } from "../../src/index.ts";
import { connectClient, type Client, type ClientOptions } from "../support/gateway.ts";
import { freshPrefix, quietLog } from "../support/world.ts";

export const chatKinds = { chat: { subscribe: "public", publish: "public" } };

/** A gateway as an application embeds it, not listening yet; closed when the test ends. */
export async function embed<C extends Contract = OpenContract>(options: GatewayOptions<C> = {}): Promise<Gateway<C>> {
  const gateway = await createGateway<C>({
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
export async function join(
  { sessions, url }: Pick<Gateway, "sessions" | "url">,
  userId: string,
  options?: ClientOptions,
): Promise<Client> {
  const { token } = await sessions.create({ userId });
  return connectClient(url, token ?? "", options);
}
