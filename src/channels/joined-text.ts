import type { Position } from "../protocol/scalars.ts";
import type { JoinedText } from "../protocol/wire.ts";
import type { RedisClient } from "../redis/connections.ts";
import type { Keys } from "../redis/keys.ts";
import { loadScript } from "../redis/scripts.ts";
import { positionScripts } from "./append.ts";
import { freshEpoch, type HistoryOptions } from "./kinds.ts";

/** Max bytes of a joined text, as JSON without its quotes. */
export const maxJoinedBytes = 1_048_576;

export const joinedTooLong = `The joined text of this channel would be longer than ${maxJoinedBytes} bytes.`;

/** Reads the joined text of a channel, which the publish script writes (`publish.lua`). */
export function openJoined({ commands, keys }: { commands: RedisClient; keys: Keys }, idleTtlSeconds: number) {
  const script = loadScript(commands, new URL("./read-joined.lua", import.meta.url), positionScripts, {
    isOrdered: false,
  });
  const keysOf = (channel: string): string[] => {
    const { text, last } = keys.channelJoined(channel);
    return [text, last];
  };

  return {
    /** None for a kind without a joined text. */
    keysOf: (channel: string, { isJoined }: HistoryOptions): string[] => (isJoined === true ? keysOf(channel) : []),

    async read(channel: string): Promise<{ value: JoinedText; at: Position }> {
      const reply = await script.run([keys.channelMeta(channel), ...keysOf(channel)], [freshEpoch(), idleTtlSeconds]);
      const [epoch, offset, text, last] = reply as [string, string, string, string];
      return { value: toJoinedText(text, last), at: { epoch, offset: Number(offset) } };
    },
  };
}

/** The publish script wrote both from validated input. */
function toJoinedText(text: string, last: string): JoinedText {
  const joined = JSON.parse(`"${text}"`) as string;
  return last === "" ? { text: joined } : { text: joined, last: JSON.parse(last) as NonNullable<JoinedText["last"]> };
}
