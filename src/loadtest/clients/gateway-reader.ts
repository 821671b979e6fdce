import { connect, type Channel, type Client } from "../../client/client.ts";
import type { Position } from "../../protocol/wire.ts";
import type { Dialer } from "./dialer.ts";
import type { VirtualUserLogin } from "./login.ts";
import type { Reader, ReaderOptions, ReaderObserver } from "./reader.ts";

export interface GatewayReaderDeps {
  dialer: Dialer;
  path: string;
  login: VirtualUserLogin;
}

/** A reader on the gateway's client library, which reconnects and tracks positions itself. */
export class GatewayReader implements Reader {
  readonly #deps: GatewayReaderDeps;
  readonly #channels: readonly string[];
  readonly #observer: ReaderObserver;
  readonly #subscribed = new Set<string>();
  #client: Client | undefined;
  /** Whether the node has sent `ready` on this connection. */
  #isReady = false;

  constructor(deps: GatewayReaderDeps, { channels, observer }: ReaderOptions) {
    this.#deps = deps;
    this.#channels = channels;
    this.#observer = observer;
  }

  open(): void {
    const { dialer: line, path, login } = this.#deps;
    const socket = line.withAgent({ transports: ["websocket"], path });
    const client = connect(line.address.origin, { token: login.fresh, socket });
    this.#client = client;
    this.#listen(client);
    for (const name of this.#channels) this.#read(client.channel(name));
  }

  close(): void {
    this.#client?.close();
  }

  #listen(client: Client): void {
    client.on("closing", ({ code }) => this.#observer.closing(code));
    client.on("ready", () => {
      this.#isReady = true;
      this.#reportReady();
    });
    client.on("state", ({ state, previous, error }) => {
      if (state === "connected") return this.#reportReady();
      if (state !== "disconnected") return;
      this.#isReady = false;
      if (previous === "connecting") this.#observer.refused(error?.code ?? "unknown");
      else this.#observer.lost(error?.code ?? "unknown");
    });
  }

  #read(channel: Channel): void {
    const { name } = channel;
    channel.on("reset", ({ position, snapshot }) => this.#observer.reset(name, position, snapshot));
    channel.on("unsubscribed", ({ code }) => this.#observer.refused(code));
    channel.on("publication", ({ epoch, offset, event, data }) => {
      const place = epoch === undefined || offset === undefined ? undefined : { epoch, offset };
      if (place !== undefined) this.#begin(name, { epoch: place.epoch, offset: place.offset - 1 }, undefined);
      this.#observer.publication(name, { position: place, event, data });
    });
    channel.subscribe().then(
      ({ position, snapshot }) => this.#begin(name, position, snapshot),
      (error: Error) => this.#observer.refused(error.message),
    );
  }

  #begin(name: string, position: Position, snapshot: unknown): void {
    if (this.#subscribed.has(name)) return;
    this.#subscribed.add(name);
    this.#observer.subscribed(name, position, snapshot);
    this.#reportReady();
  }

  #reportReady(): void {
    const client = this.#client;
    if (client?.state !== "connected" || !this.#isReady || this.#subscribed.size < this.#channels.length) return;
    this.#observer.ready(client.ready?.nodeId);
  }
}
