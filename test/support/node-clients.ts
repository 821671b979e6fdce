import { expect } from "vitest";
import { connectClient, type Client, type ClientOptions } from "./gateway.ts";
import type { NodeProcess } from "./node-process.ts";
import { eventually } from "./world.ts";

/** A stock client of a node that has been told `ready`, and comes back by itself as it would in an application. */
export async function clientOn(node: NodeProcess, user: string, options: ClientOptions = {}): Promise<Client> {
  const { token } = await node.signIn(user);
  return connectClient(node.url, token, { reconnection: true, reconnectionDelay: 50, ...options });
}

/** One on each node, of users `<name>-0`, `<name>-1` …, or all of one. */
export function clientsOn(nodes: readonly NodeProcess[], name: string, user?: string): Promise<Client[]> {
  return Promise.all(nodes.map((node, index) => clientOn(node, user ?? `${name}-${index}`)));
}

/** One on each node that reads the channel. */
export async function readersOn(nodes: readonly NodeProcess[], channel: string): Promise<Client[]> {
  const clients = await clientsOn(nodes, channel.replaceAll(":", "-"));
  await Promise.all(clients.map((client) => subscribe(client, channel)));
  return clients;
}

/** Asks again where the node cannot at the moment, as it says while Redis is away. */
export async function subscribe(client: Client, channel: string, since?: { epoch: string; offset: number }) {
  return eventually(async () => {
    const answer = await client.timeout(20_000).emitWithAck("subscribe", { channel, ...(since && { since }) });
    expect(answer).toMatchObject({ ok: true });
    return answer;
  });
}
