import type { IncomingMessage, ServerResponse } from "node:http";
import { binaryOf, packetsOf, packetType, payloadOf } from "./packets.ts";
import type { SendQueue } from "./send-queue.ts";
import type { Transport, TransportOwner } from "./transport.ts";

/** The stock Python client fails with more than 16 packets in one response. */
const maxPacketsOut = 16;

/** Header fields of the response to a POST. */
const accepted = { "Content-Type": "text/html", "Content-Length": "2", "Cache-Control": "no-store" };

/** A GET request that waits for packets. */
interface Poll {
  request: IncomingMessage;
  response: ServerResponse;
}

/** Engine.IO over HTTP long-polling: a GET waits for packets to the client, a POST brings packets from it. */
export class PollingTransport implements Transport {
  readonly name = "polling";
  readonly waitingBytes = 0;
  owner: TransportOwner;
  #poll: Poll | undefined;
  /** Answers the POST request whose body is being read; one that was refused may send the rest of its body later. */
  #post: ServerResponse | undefined;
  #isOver = false;

  constructor(owner: TransportOwner) {
    this.owner = owner;
  }

  /** Handles a request of this connection, GET or POST. */
  handle(request: IncomingMessage, response: ServerResponse): void {
    if (request.method === "POST") this.#takeBody(request, response);
    else this.#takePoll({ request, response });
  }

  get writable(): boolean {
    return this.#poll !== undefined;
  }

  /** A stock client handles a close before messages in the same response, so the close has a response of its own. */
  sendFrom(queue: SendQueue, isLast: boolean): boolean {
    const frames = queue.shiftFrames(maxPacketsOut);
    this.#answer(frames.length === 0 ? [packetType.close] : frames.map(({ packet }) => packet));
    return frames.length === 0 || (queue.isEmpty && !isLast);
  }

  /** Completes a waiting request without a message. */
  sendNoop(): void {
    if (this.writable) this.#answer([packetType.noop]);
  }

  close(): void {
    if (this.writable) this.#answer([packetType.close]);
    this.shut();
  }

  shut(): void {
    this.#isOver = true;
    this.sendNoop();
  }

  destroy(): void {
    this.shut();
  }

  /** Incoming data is bounded by the client's requests. */
  pause(): void {}
  resume(): void {}

  #takePoll(poll: Poll): void {
    if (this.#poll !== undefined) return this.#refuseOverlap(poll.response);
    this.#poll = poll;
    poll.response.on("close", () => this.#lost(poll));
    if (this.#isOver) this.sendNoop();
    else this.owner.drained();
  }

  /** Engine.IO closes a connection with two concurrent requests of the same method. */
  #refuseOverlap(response: ServerResponse): void {
    this.owner.ended(this, "transport error");
    response.writeHead(400).end();
  }

  #lost(poll: Poll): void {
    if (this.#poll !== poll) return;
    this.#poll = undefined;
    this.owner.ended(this, "transport error");
  }

  #answer(packets: readonly string[]): void {
    const { response } = this.#poll as Poll;
    this.#poll = undefined;
    const body = payloadOf(packets);
    response.writeHead(200, {
      "Content-Type": "text/plain; charset=UTF-8",
      "Content-Length": Buffer.byteLength(body),
      "Cache-Control": "no-store",
    });
    response.end(body);
  }

  #takeBody(request: IncomingMessage, response: ServerResponse): void {
    if (this.#post !== undefined) return this.#refuseOverlap(response);
    this.#post = response;
    const chunks: Buffer[] = [];
    let size = 0;
    request.on("data", (chunk: Buffer) => {
      if (this.#post !== response) return;
      size += chunk.length;
      if (size > this.owner.maxPayload) this.#refuseBody(response);
      else chunks.push(chunk);
    });
    request.on("end", () => this.#post === response && this.#takeWhole(Buffer.concat(chunks).toString(), response));
    response.on("close", () => this.#bodyEnded(response));
  }

  #refuseBody(response: ServerResponse): void {
    this.#post = undefined;
    response.writeHead(413).end();
  }

  #takeWhole(body: string, response: ServerResponse): void {
    this.#post = undefined;
    for (const packet of packetsOf(body)) this.owner.receive(binaryOf(packet) ?? packet);
    response.writeHead(200, accepted).end("ok");
  }

  /** The client disconnected while it sent its body. */
  #bodyEnded(response: ServerResponse): void {
    if (this.#post !== response) return;
    this.#post = undefined;
    this.owner.ended(this, "transport error");
  }
}
