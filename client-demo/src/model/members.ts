import { type ReadonlySignal, signal } from "@preact/signals";
import { type Channel, type PresenceMember, TidegateError } from "../../../src/client/client.ts";

/** The members of a channel. */
export interface Members {
  /** Sorted by name; undefined if the channel has no presence. */
  readonly list: ReadonlySignal<readonly PresenceMember[] | undefined>;
  stop(): void;
}

export function createMembers(channel: Channel): Members {
  const list = signal<readonly PresenceMember[] | undefined>(undefined);

  /** Called after each subscribe, when changes are already being received, so none is missed. */
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
