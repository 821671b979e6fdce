import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { HeaderFields } from "./refusals.ts";

const filePath = /^\/socket\.io\/(socket\.io(?:\.esm|\.msgpack)?(?:\.min)?\.js(?:\.map)?)(?:\?|$)/;

/** Serves the browser bundles of Socket.IO's client, such as `/socket.io/socket.io.js`, as its own server does. */
export class ClientFiles {
  readonly #files = new Map<string, Promise<Buffer>>();
  readonly #manifest = createRequire(import.meta.url).resolve("socket.io/package.json");
  #version: Promise<string> | undefined;

  /** False if the request is for something else. */
  serve(request: IncomingMessage, response: ServerResponse, fields: HeaderFields): boolean {
    const { method = "", url = "" } = request;
    const name = ["GET", "HEAD"].includes(method) ? filePath.exec(url)?.[1] : undefined;
    if (name === undefined) return false;
    void this.#send(name, request, response, fields);
    return true;
  }

  async #send(name: string, request: IncomingMessage, response: ServerResponse, fields: HeaderFields): Promise<void> {
    try {
      const [version, content] = await Promise.all([this.#readVersion(), this.#read(name)]);
      const etag = `"${version}"`;
      const isCached = [etag, `W/${etag}`].includes(request.headers["if-none-match"] ?? "");
      const type = name.endsWith(".map") ? "application/json" : "application/javascript";
      const head = {
        ...fields,
        ETag: etag,
        "Cache-Control": "public, max-age=0",
        "Content-Type": `${type}; charset=utf-8`,
      };
      response.writeHead(isCached ? 304 : 200, head).end(isCached ? undefined : content);
    } catch {
      this.#files.delete(name);
      response.writeHead(404, fields).end();
    }
  }

  #readVersion(): Promise<string> {
    return (this.#version ??= readFile(this.#manifest, "utf8").then(
      (text) => (JSON.parse(text) as { version: string }).version,
    ));
  }

  /** Keeps at most the few files that exist. */
  #read(name: string): Promise<Buffer> {
    const file = this.#files.get(name) ?? readFile(join(dirname(this.#manifest), "client-dist", name));
    this.#files.set(name, file);
    return file;
  }
}
