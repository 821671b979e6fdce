import { IoAdapter } from "@nestjs/platform-socket.io";
import type { Gateway } from "tidegate";

type IoServer = ReturnType<IoAdapter["createIOServer"]>;

/** Gives Nest the gateway's Socket.IO server instead of one of its own. */
export class TidegateAdapter extends IoAdapter {
  readonly #gateway: Gateway;

  constructor(gateway: Gateway) {
    super();
    this.#gateway = gateway;
  }

  override createIOServer(): IoServer {
    // Nest depends on a version of Socket.IO of its own, whose server is the same but for private parts.
    return this.#gateway.io as unknown as IoServer;
  }

  /** Drains: clients move to other nodes. */
  override async close(): Promise<void> {
    await this.#gateway.close();
  }
}
