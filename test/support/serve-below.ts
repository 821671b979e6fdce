import { createServer, request, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";

/** A proxy that forwards what is below a path, and nothing else. */
export async function serveBelow(prefix: string, target: string): Promise<string> {
  const { hostname, port } = new URL(target);
  const optionsOf = ({ method, headers, url: path = "" }: IncomingMessage) => {
    const isBelow = path.startsWith(`${prefix}/`);
    return { hostname, port, method, headers, path: isBelow ? path.slice(prefix.length) : "/nowhere" };
  };
  const server = createServer((incoming, response) => {
    const outgoing = request(optionsOf(incoming), (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    incoming.pipe(outgoing);
  });
  server.on("upgrade", (incoming, socket) => {
    const outgoing = request(optionsOf(incoming));
    outgoing.on("upgrade", (answer, upstream, head) => {
      const fields = Object.entries(answer.headers).map(([name, value]) => `${name}: ${String(value)}\r\n`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields.join("")}\r\n`);
      upstream.unshift(head);
      upstream.pipe(socket).pipe(upstream);
      for (const one of [upstream, socket]) one.on("error", () => [upstream, socket].forEach((end) => end.destroy()));
    });
    outgoing.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
