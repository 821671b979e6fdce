import { Agent, request } from "node:http";

/** Posts JSON over keep-alive connections and parses the answer, with nothing but `node:http`. */
export function createBarePost(port: number, connections: number): (body: string) => Promise<unknown> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  return (body) =>
    new Promise((resolve, reject) => {
      const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const outgoing = request({ agent, host: "127.0.0.1", port, method: "POST", path: "/", headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.once("end", () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
      });
      outgoing.once("error", reject);
      outgoing.end(body);
    });
}
