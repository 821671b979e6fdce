import { describe, expect, it } from "vitest";
import type { ChannelHandle } from "../../src/client/channel.ts";
import type { Client } from "../../src/client/client.ts";
import { eventually } from "../support/world.ts";
import type { ContractServer } from "./contract-server.ts";
import { client, contractServer, whole, cut } from "./support.ts";

const channelNames = ["chat:a", "chat:b", "chat:c"];
const cuts = 250;

/** Publishes without rest while the connection is cut at random moments, by either side, some handshakes refused. */
async function cutAndPublish(seed: number, server: ContractServer, reader: Client): Promise<string[]> {
  const random = whole(seed);
  const sent: string[] = [];
  const publishSome = (): void => {
    for (let count = random(4); count > 0; count -= 1) {
      const channel = channelNames[random(channelNames.length)] ?? "";
      const { offset } = server.publish(channel, "said", sent.length);
      sent.push(`${channel} ${offset}`);
    }
  };
  for (let done = 0; done < cuts;) {
    publishSome();
    if (reader.socket.connected) {
      if (random(2) === 0) server.cut();
      else cut(reader);
      done += 1;
    }
    for (let turns = random(6); turns > 0; turns -= 1) {
      publishSome();
      await new Promise((resolve) => setTimeout(resolve, random(3)));
    }
  }
  return sent;
}

const of = (channel: string, lines: string[]): string[] => lines.filter((line) => line.startsWith(channel));

describe.each([{ recovery: false }, { recovery: true }])("over $recovery for Socket.IO's recovery", ({ recovery }) => {
  it.each([1, 2])(`${cuts} cuts lose, repeat and reorder nothing (seed %i)`, async (seed) => {
    const random = whole(seed + 1_000);
    const server = await contractServer({
      recovery,
      answerDelayMs: () => random(4),
      refuseHandshake: () => (random(10) === 0 ? { code: "draining", message: "Going.", retryAfterMs: 1 } : undefined),
      refuseRequest: () => (random(20) === 0 ? { code: "unavailable", message: "Away." } : undefined),
    });
    const reader = client(server.url, { backoff: { minDelayMs: 1, maxDelayMs: 4 } });
    const seen: string[] = [];
    const told: string[] = [];
    for (const channel of channelNames.map((name) => reader.channel(name))) {
      channel.on("publication", ({ offset }) => seen.push(`${channel.name} ${offset}`));
      channel.on("reset", () => told.push("reset"));
      await channel.subscribe();
    }

    const sent = await cutAndPublish(seed, server, reader);

    for (const name of channelNames) await eventually(() => expect(of(name, seen)).toEqual(of(name, sent)));
    expect(told).toEqual([]);
  });

  it("a snapshot requested at random moments fits the publications after it", async () => {
    const random = whole(3);
    const server = await contractServer({
      recovery,
      answerDelayMs: () => random(4),
      refuseRequest: () => (random(20) === 0 ? { code: "unavailable", message: "Away." } : undefined),
      snapshot: (channel) => ({ offset: server.log.get(channel)?.offset }),
    });
    const reader = client(server.url, { backoff: { minDelayMs: 1, maxDelayMs: 4 } });
    const channel = reader.channel<Record<string, unknown>, { offset: number }>("chat:a");
    let offset = -1;
    let snapshots = 0;
    channel.on("snapshot", ({ snapshot }) => {
      offset = snapshot.offset;
      snapshots += 1;
    });
    channel.on("publication", (publication) => {
      expect(publication.offset).toBe(offset + 1);
      offset += 1;
      if (random(30) === 0) (channel as unknown as ChannelHandle)._reload();
    });
    await channel.subscribe();

    const sent = of("chat:a", await cutAndPublish(4, server, reader));

    await eventually(() => expect(offset).toBe(sent.length));
    expect(snapshots).toBeGreaterThan(5);
    await eventually(() => expect(channel.state).toBe("subscribed"));
  });
});
