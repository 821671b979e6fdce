import { type ReadonlySignal, signal } from "@preact/signals";
import { type Channel, type PresenceMember, TidegateError } from "../../../src/client/client.ts";

/** Who is in a channel. */
export interface Members {
  /** By name; undefined where the channel's kind keeps none. */
  readonly list: ReadonlySignal<readonly PresenceMember[] | undefined>;
  stop(): void;
}

export function createMembers(channel: Channel): Members {
  const list = signal<readonly PresenceMember[] | undefined>(undefined);

  /** Changes are told from the subscription on, so whoever asks after it misses none; after a cut one asks again. */
  async function ask(): Promise<void> {
    try {
      list.value = sorted((await channel.presence()).members);
    } catch (error) {
      if (!(error instanceof TidegateError)) throw error;
    }
  }

  const offs = [
    channel.on("state", ({ state }) => void (state === "subscribed" && ask())),
    channel.on("presence", ({ joined, updated, left }) => {
      if (list.value === undefined) return;
      const byName = new Map(list.value.map((member) => [member.userId, member]));
      for (const member of [...joined, ...updated]) byName.set(member.userId, member);
      for (const { userId } of left) byName.delete(userId);
      list.value = sorted([...byName.values()]);
    }),
  ];
  return {
    list,
    stop() {
      for (const off of offs) off();
    },
  };
}

const sorted = (members: readonly PresenceMember[]): PresenceMember[] =>
  members.toSorted((one, other) => one.userId.localeCompare(other.userId));
