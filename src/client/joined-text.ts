import type { JoinedText } from "../protocol/wire.ts";
import { type ChannelReducer, liveChannel } from "./live-channel.ts";
import type { CreateState, Live, LiveEvents, Shown } from "./live-view.ts";

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
export const createText: CreateState<LiveText, LiveTextEvents> = (channel, client, emit) => {
  const view: Shown<LiveText> = { channel, text: "", last: undefined };
  let joined: JoinedText = { text: "" };
  const update = (next: JoinedText): void => {
    joined = next;
    Object.assign(view, { last: undefined }, next);
    emit("change", next);
  };
  const reducer: ChannelReducer = {
    snapshot: update,
    publication({ event, data, from }) {
      if (typeof data === "string") update({ ...joined, text: joined.text + data });
      else update({ ...joined, last: { event, data, ...(from && { from }) } });
    },
  };
  const live = liveChannel(client, view, reducer, emit);
  live._open(channel);
  return live;
};
