import type { FeedMessage } from "./feed-message.ts";

/** Messages waiting for a read of the log; bounded, because a fast channel and a slow store may coincide. */
export class HeldMessages {
  #messages: FeedMessage[] = [];
  #bytes = 0;

  /** False where there is no room: the message is dropped and has to come from the log. */
  add(message: FeedMessage): boolean {
    if (this.#messages.length >= mostMessages || this.#bytes + message.packet.length > mostBytes) return false;
    this.#messages.push(message);
    this.#bytes += message.packet.length;
    return true;
  }

  take(): FeedMessage[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    return messages;
  }
}

const mostMessages = 1_024;
const mostBytes = 4 * 1_048_576;
