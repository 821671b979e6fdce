import { inject, onTestFinished } from "vitest";
import { createGateway, type Contract, type Gateway, type GatewayOptions, type OpenContract } from "../../src/index.ts";
import { connectClient, type Client, type ClientOptions } from "../support/gateway.ts";
import { freshPrefix, quietLog } from "../support/world.ts";

export const chatKinds = { chat: { subscribe: "public", publish: "public" } };

/** Kinds about which hooks are asked, and one about which they are not. */
export const hookKinds = {
  room: { subscribe: ["granted", "hook"], publish: "hook", presence: true },
  open: { subscribe: "public" },
};

/** Options of a client for the connect hook. */
export const withoutToken = {
  auth: { guest: "g-7" },
  extraHeaders: { cookie: "sid=c-1", authorization: "Basic secret" },
};

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

/** The same, listening; `setUp` before. */
export async function listening(setUp: (gateway: Gateway) => void = () => undefined): Promise<Gateway> {
  const gateway = await embed();
  setUp(gateway);
  await gateway.listen(0, "127.0.0.1");
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
