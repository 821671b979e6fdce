import type { JoinedText, WirePublication } from "../protocol/wire.ts";
import { Emitter } from "./emitter.ts";
import { LiveChannel, type LiveViewContext } from "./live-channel.ts";
import { type Live, type LiveEvents, type SharedView, LiveView } from "./live-view.ts";

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
export class SharedText implements SharedView<LiveTextEvents> {
  readonly emitter = new Emitter<LiveTextEvents>();
  readonly live: LiveChannel<JoinedText>;
  readonly channel: string;
  joined: JoinedText = { text: "" };

  constructor(channel: string, context: LiveViewContext) {
    this.channel = channel;
    const reducer = {
      reset: (joined: JoinedText) => this.#update(joined),
      apply: (publication: WirePublication) => this.#apply(publication),
    };
    this.live = new LiveChannel(context, reducer, this.emitter);
    this.live.open(channel);
  }

  get hasEnded(): boolean {
    return this.live.hasEnded;
  }

  end(): void {
    this.live.end();
  }

  #apply({ event, data, from }: WirePublication): void {
    const { joined } = this;
    if (typeof data === "string") this.#update({ ...joined, text: joined.text + data });
    else this.#update({ ...joined, last: { event, data, ...(from && { from }) } });
  }

  #update(joined: JoinedText): void {
    this.joined = joined;
    this.emitter.emit("change", joined);
  }
}

export class TextView extends LiveView<LiveTextEvents, SharedText> implements LiveText {
  get channel(): string {
    return this.shared.channel;
  }

  get text(): string {
    return this.shared.joined.text;
  }

  get last(): JoinedText["last"] {
    return this.shared.joined.last;
  }
}
