import type { JoinedText, WirePublication } from "../protocol/wire.ts";
import { liveChannel } from "./live-channel.ts";
import type { CreateState, Live, LiveEvents } from "./live-view.ts";

export interface LiveTextEvents extends LiveEvents {
  /** The text grew or was replaced, or `last` changed. */
  change: JoinedText;
}

/** The joined text of a channel whose kind has `"merge": "append"`, live. */
export interface LiveText extends Live<LiveTextEvents> {
  readonly channel: string;
  readonly text: string;
  /** The last publication whose data is not a text, such as the end. */
  readonly last: JoinedText["last"];
}

/** The text of one channel, shared by its views. */
export const createText: CreateState<LiveText, LiveTextEvents> = (channel, context, emit) => {
  let joined: JoinedText = { text: "" };
  const update = (next: JoinedText): void => emit("change", (joined = next));
  const apply = ({ event, data, from }: WirePublication): void =>
    update({
      ...joined,
      ...(typeof data === "string" ? { text: joined.text + data } : { last: { event, data, ...(from && { from }) } }),
    });
  const live = liveChannel(context, { reset: update, apply }, emit);
  live.open(channel);
  return {
    live,
    view: {
      channel,
      get text() {
        return joined.text;
      },
      get last() {
        return joined.last;
      },
    },
  };
};
