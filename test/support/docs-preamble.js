/** Loaded before the code of a page of the docs: what its examples take from the page around them. */
import { registerHooks } from "node:module";

const { DOCS_URL: url, DOCS_KEY: key, DOCS_REDIS: redisUrl, DOCS_PAGE: page } = process.env;
const source = new URL("../../src/", import.meta.url);
const ours = {
  tidegate: "index.ts",
  "@tidegate/client": "client/client.ts",
  "tidegate/testing": "testing/testing.ts",
  "tidegate/contract": "protocol/contract/contract.ts",
  "@tidegate/publisher": "publisher/publisher.ts",
};

registerHooks({
  resolve(specifier, context, next) {
    const file = ours[specifier];
    if (file !== undefined) return next(new URL(file, source).href, context);
    return next(specifier, /^[@a-z]/.test(specifier) ? { ...context, parentURL: source.href } : context);
  },
});

const { io: connect } = await import("socket.io-client");
const { Server } = await import("socket.io");
const { Redis } = await import("ioredis");
const plainFetch = fetch;

async function ask(path, body) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const answer = await plainFetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
  return answer.json();
}

const { sessionId, token } = await ask("/v1/sessions", { userId: "ada" });
await ask("/v1/orders", { orderId: "o-17", parties: { customer: "ada" } });

Object.assign(globalThis, {
  /** The page's own backend answers this path. */
  async fetch(target, options) {
    if (target !== "/realtime-token") return plainFetch(target, options);
    return new Response((await ask(`/v1/sessions/${sessionId}/token`, {})).token);
  },
  gateway: url,
  apiKey: key,
  redis: new Redis(redisUrl),
  io: page === "docs/loadtest.md" ? new Server() : connect,
  socket: ["docs/presence.md", "docs/state.md", "docs/token-streams.md"].includes(page)
    ? connect(url, { auth: { token } })
    : undefined,
  render: () => undefined,
  renderOwn: () => undefined,
  say: () => undefined,
  moveDot: () => undefined,
  moveCursor: () => undefined,
});
