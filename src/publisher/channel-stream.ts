import { setTimeout as pause } from "node:timers/promises";
import type { Closing } from "../protocol/closings.ts";
import type { PresenceChange, WirePublication } from "../protocol/wire.ts";
import { PublisherError } from "./errors.ts";
import { readServerEvents, type ServerEvent } from "./event-reader.ts";
import type { HttpTransport } from "./http.ts";
import { type RetryDelays, retryDelayMs } from "./retries.ts";
import type { CommandFailure } from "./transport.ts";

export interface SubscribeOptions {
  /** Full names. */
  channels: readonly string[];
  /** `position` of the last item that was handled; without it, reading starts at the current end of each channel. */
  position?: string | undefined;
  /** Ends the reading without an error. */
  signal?: AbortSignal;
}

/** A channel's reading has begun or begun again. */
export interface ChannelOpened {
  channel: string;
  epoch: string;
  offset: number;
  /** True if every missed publication follows; false if reading continues at the current end. */
  recovered: boolean;
  /** Publications that follow because they were missed. */
  missed: number;
  snapshot?: unknown;
  conflated?: true;
}

/** `position` is where the next reading starts, in all channels: save it with the effects of the item. */
export type StreamItem = { position: string } & (
  | { type: "publication"; data: WirePublication }
  | { type: "subscribed"; data: ChannelOpened }
  | { type: "presence"; data: PresenceChange }
  | { type: "state"; data: { channel: string; revision: number; changes: object[] } }
  | { type: "unsubscribed"; data: { channel: string; code: string; message: string } }
);

const itemTypes: ReadonlySet<string> = new Set(["publication", "subscribed", "presence", "state", "unsubscribed"]);

/**
 * Reads channels in order, and reconnects for as long as the loop runs. The next item is read when the loop asks for it, so a
 * slow loop slows its own stream only. Throws a `PublisherError` if the gateway refuses for good.
 */
export async function* readChannels(
  transport: Pick<HttpTransport, "stream">,
  { channels, position = "", signal }: SubscribeOptions & { signal: AbortSignal },
  delays: RetryDelays,
): AsyncGenerator<StreamItem, void, undefined> {
  const path = `/v1/stream?${channels.map((channel) => `channel=${encodeURIComponent(channel)}`).join("&")}`;
  let [last, failures] = [position, 0];
  while (!signal.aborted) {
    const opened = await transport.stream(path, last, signal);
    if (opened.ok)
      for await (const event of readServerEvents(opened.body, signal)) {
        failures = 0;
        last = event.id ?? last;
        const item = itemOf(event, last);
        if (item !== undefined) yield item;
      }
    else if (!opened.isTemporary) throw failed(opened.failure, failures + 1);
    failures += 1;
    const delayMs = retryDelayMs(failures, delays, opened.ok ? 0 : opened.failure.retryAfterMs);
    await pause(delayMs, undefined, { signal }).catch(() => undefined);
  }
}

/** Undefined if the event only concerns the connection. Throws if the gateway says that reconnecting is useless. */
function itemOf({ event, data }: ServerEvent, position: string): StreamItem | undefined {
  if (event === "closing") {
    const { code, message, reconnect } = data as Closing;
    if (!reconnect) throw failed({ code: code as CommandFailure["code"], message }, 1);
  }
  return itemTypes.has(event) ? ({ type: event, data, position } as StreamItem) : undefined;
}

const failed = (failure: CommandFailure, attempts: number): PublisherError =>
  new PublisherError(failure, { operation: "subscribe", attempts });
