import { connect, type Channel, type Client } from "../../client/client.ts";
import type { Position } from "../../protocol/wire.ts";
import type { Line } from "./line.ts";
import type { Login } from "./login.ts";
import type { Reader, ReaderOptions, ReaderWatch } from "./reader.ts";

export interface GatewayReaderDeps {
  line: Line;
  path: string;
  login: Login;
}

/** A reader on the project's own client, which keeps positions and connections by itself. */
export class GatewayReader implements Reader {
  readonly #deps: GatewayReaderDeps;
  readonly #channels: readonly string[];
  readonly #watch: ReaderWatch;
  readonly #begun = new Set<string>();
  #client: Client | undefined;
  /** The node has said `ready` on this connection. */
  #isGreeted = false;

  constructor(deps: GatewayReaderDeps, { channels, watch }: ReaderOptions) {
    this.#deps = deps;
    this.#channels = channels;
    this.#watch = watch;
  }

  open(): void {
    const { line, path, login } = this.#deps;
    // Socket.IO's types take an agent's name only, for browsers.
    const agent = line.agent() as unknown as string;
    const socket = { transports: ["websocket"], agent, path };
    const client = connect(line.address.origin, { token: login.fresh, socket });
    this.#client = client;
    this.#listen(client);
    for (const name of this.#channels) this.#read(client.channel(name));
  }

  close(): void {
    this.#client?.close();
  }

  #listen(client: Client): void {
    client.on("closing", ({ code }) => this.#watch.closing(code));
    client.on("ready", () => {
      this.#isGreeted = true;
      this.#readyWhenWhole();
    });
    client.on("state", ({ state, previous, error }) => {
      if (state === "connected") return this.#readyWhenWhole();
      if (state !== "disconnected") return;
      this.#isGreeted = false;
      if (previous === "connecting") this.#watch.refused(error?.code ?? "unknown");
      else this.#watch.lost(error?.code ?? "unknown");
    });
  }

  #read(channel: Channel): void {
    const { name } = channel;
    channel.on("reset", ({ position, snapshot }) => this.#watch.told(name, position, snapshot));
    channel.on("unsubscribed", ({ code }) => this.#watch.refused(code));
    channel.on("publication", ({ epoch, offset, event, data }) => {
      const place = epoch === undefined || offset === undefined ? undefined : { epoch, offset };
      if (place !== undefined) this.#begin(name, { epoch: place.epoch, offset: place.offset - 1 }, undefined);
      this.#watch.publication(name, { place, event, data });
    });
    channel.subscribe().then(
      ({ position, snapshot }) => this.#begin(name, position, snapshot),
      (error: Error) => this.#watch.refused(error.message),
    );
  }

  #begin(name: string, position: Position, snapshot: unknown): void {
    if (this.#begun.has(name)) return;
    this.#begun.add(name);
    this.#watch.began(name, position, snapshot);
    this.#readyWhenWhole();
  }

  #readyWhenWhole(): void {
    const client = this.#client;
    if (client?.state !== "connected" || !this.#isGreeted || this.#begun.size < this.#channels.length) return;
    this.#watch.ready(client.ready?.nodeId);
  }
}
