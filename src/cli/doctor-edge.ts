import { isIP } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { urlBelow } from "../runtime/url-below.ts";
import {
  ask,
  messageOf,
  noAnswer,
  ok,
  throwIfUnavailable,
  timeoutMs,
  wrong,
  type DoctorCheck,
} from "./doctor-calls.ts";

const maxClockDifferenceMs = 2_000;
const dayMs = 86_400_000;
const minCertificateDays = 14;
const unknownOrigin = "https://page.invalid";
const pollingPath = "/socket.io/?EIO=4&transport=polling";

export const mendUnreachable = "check --url, and that a gateway runs there";

/** What stands in front of the gateway, as a client sees it. */
export const edgeChecks: Readonly<Record<string, DoctorCheck>> = {
  "node answers": async ({ url }) => {
    const answer = await ask(url, "/healthz").catch(messageOf);
    if (typeof answer === "string") return wrong("failed", `${url}: ${answer}`, mendUnreachable);
    return answer.status === 200
      ? ok(url)
      : wrong("failed", `HTTP ${answer.status}`, "check --url, and that the proxy forwards all paths");
  },
  TLS: async ({ url }) => {
    const { protocol, hostname, port } = new URL(url);
    if (protocol !== "https:")
      return isLoopback(hostname)
        ? ok("none, on loopback")
        : wrong("warning", "tokens travel in clear text", "serve https:// in front of the gateway (see nginx.conf)");
    const endsAt = await certificateEnd(hostname, Number(port || 443));
    const days = Math.floor((endsAt - Date.now()) / dayMs);
    if (days >= minCertificateDays) return ok(`the certificate is good for ${days} days`);
    return wrong("warning", `the certificate ends in ${days} days`, "renew it, and automate that");
  },
  "Redis and readiness": async ({ url }) => {
    const response = await ask(url, "/readyz");
    const { status, checks: parts } = (await response.json()) as {
      status: string;
      checks: Record<string, { note?: string }>;
    };
    const notes = Object.values(parts).flatMap(({ note }) => note ?? []);
    if (status === "ready") return ok("ready");
    return wrong(
      status === "degraded" ? "warning" : "failed",
      notes.join("; ") || status,
      "see docs/failures.md#redis",
    );
  },
  clock: async ({ url }) => {
    const response = await ask(url, "/healthz");
    const difference = Date.parse(response.headers.get("date") ?? "") - Date.now();
    if (Math.abs(difference) <= maxClockDifferenceMs)
      return ok(`differs by less than ${maxClockDifferenceMs / 1_000} s`);
    return wrong(
      "warning",
      `differs from this machine's by ${Math.round(difference / 1_000)} s`,
      "synchronize both with NTP",
    );
  },
  origin: async ({ url, origin }) => {
    const isAllowed = async (from: string): Promise<boolean> =>
      (await ask(url, pollingPath, { headers: { origin: from } })).status !== 403;
    if (origin !== "" && !(await isAllowed(origin)))
      return wrong("failed", `pages of ${origin} are refused`, `add it to ALLOWED_ORIGINS: ${origin}`);
    if (await isAllowed(unknownOrigin))
      return wrong("warning", "pages of any origin may connect", "set ALLOWED_ORIGINS to the origins of your pages");
    return ok(origin === "" ? "other pages are refused" : `${origin} is allowed, other pages are refused`);
  },
  "polling and stickiness": async ({ url }) => {
    const opened = await ask(url, pollingPath);
    await throwIfUnavailable(opened);
    const { sid } = JSON.parse((await opened.text()).slice(1) || "{}") as { sid?: string };
    if (opened.status !== 200 || sid === undefined)
      return wrong("failed", `HTTP ${opened.status}`, "forward /socket.io/ to the gateway");
    const cookie = opened.headers
      .getSetCookie()
      .map((one) => one.split(";")[0])
      .join("; ");
    const headers = { "content-type": "text/plain", connection: "close", cookie };
    for (let i = 0; i < 5; i++) {
      const { status } = await ask(url, `${pollingPath}&sid=${sid}`, { method: "POST", body: "3", headers });
      if (status !== 200)
        return wrong(
          "failed",
          `request ${i + 2} of a connection reached another node`,
          "hash by sid or address: docs/scaling.md",
        );
    }
    return ok("6 requests of one connection reached one node");
  },
  "WebSocket upgrade": async ({ url }) => {
    const opened = await openWebSocket(urlBelow(url, "/socket.io/?EIO=4&transport=websocket"));
    if (opened) return ok("upgraded");
    await throwIfUnavailable(await ask(url, pollingPath));
    return wrong(
      "failed",
      "the upgrade failed",
      "proxy_http_version 1.1, and forward Upgrade and Connection (see nginx.conf)",
    );
  },
};

const isLoopback = (hostname: string): boolean => /^(localhost|127\..*|\[::1\])$/.test(hostname);

/** When the server's certificate ends. Whether it is trusted was found out by the first request. */
function certificateEnd(hostname: string, port: number): Promise<number> {
  const host = hostname.replace(/^\[|\]$/g, "");
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket: TLSSocket = connect(
    { host, port, rejectUnauthorized: false, ...(isIP(host) === 0 && { servername: host }) },
    () => resolve(Date.parse(socket.getPeerCertificate().valid_to)),
  );
  socket.setTimeout(timeoutMs, () => reject(new Error("no answer in time")));
  socket.on("error", reject);
  return promise.finally(() => socket.destroy());
}

function openWebSocket(url: URL): Promise<boolean> {
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const settle = (isOpen: boolean): void => {
      clearTimeout(timer);
      socket.close();
      resolve(isOpen);
    };
    const timer = setTimeout(() => {
      reject(noAnswer());
      socket.close();
    }, timeoutMs);
    socket.addEventListener("message", ({ data }) => settle(String(data).startsWith("0{")));
    socket.addEventListener("error", () => settle(false));
  });
}
