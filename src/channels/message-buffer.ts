/** Messages that wait for Redis, in order; bounded, because a fast channel and a slow Redis may coincide. */
export class MessageBuffer<Message extends { packet: Buffer }> {
  #messages: Message[] = [];
  #bytes = 0;

  /** Returns false if the buffer is full; the message is dropped. */
  add(message: Message): boolean {
    if (this.#messages.length >= maxMessages || this.#bytes + message.packet.length > maxBytes) return false;
    this.#messages.push(message);
    this.#bytes += message.packet.length;
    return true;
  }

  take(): Message[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    return messages;
  }
}

const maxMessages = 1_024;
const maxBytes = 4 * 1_048_576;
