import { readFileSync } from "node:fs";
import { connect } from "../client/client.ts";
import type { Environment } from "../config/environment.ts";
import { bearer } from "../protocol/bearer.ts";
import { urlBelow } from "../runtime/url-below.ts";
import { CallError, checkAddress, firstKey, ownAddress } from "./backend-calls.ts";

export interface DoctorOptions {
  url?: string;
  key?: string;
  /** Operator secret; enables the checks of the whole cluster. */
  operator?: string;
}

/** One thing that was checked, and what to do if it is wrong. */
export interface Diagnosis {
  check: string;
  result: "ok" | "warning" | "failed" | "skipped";
  detail: string;
  mend?: string;
}

type DoctorCheck = (target: Required<DoctorOptions>) => Promise<Omit<Diagnosis, "check">>;

const timeoutMs = 5_000;
const maxClockDifferenceMs = 2_000;
const minOpenFiles = 65_536;
/** The check that needs no node. */
const openFiles = "open files";

const mendUnreachable = "check --url, and that a gateway runs there";

const ok = (detail: string): Omit<Diagnosis, "check"> => ({ result: "ok", detail });
const wrong = (result: "warning" | "failed", detail: string, mend: string): Omit<Diagnosis, "check"> => ({
  result,
  detail,
  mend,
});

const checks: Readonly<Record<string, DoctorCheck>> = {
  "node answers": async ({ url }) => {
    const answer = await get(url, "/healthz").catch(messageOf);
    if (typeof answer === "string") return wrong("failed", `${url}: ${answer}`, mendUnreachable);
    return answer.status === 200
      ? ok(url)
      : wrong("failed", `HTTP ${answer.status}`, "check --url, and that the proxy forwards all paths");
  },
  "Redis and readiness": async ({ url }) => {
    const response = await get(url, "/readyz");
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
    const response = await get(url, "/healthz");
    const difference = Date.parse(response.headers.get("date") ?? "") - Date.now();
    if (Math.abs(difference) <= maxClockDifferenceMs)
      return ok(`differs by less than ${maxClockDifferenceMs / 1_000} s`);
    return wrong(
      "warning",
      `differs from this machine's by ${Math.round(difference / 1_000)} s`,
      "synchronize both with NTP",
    );
  },
  "polling and stickiness": async ({ url }) => {
    const opened = await get(url, "/socket.io/?EIO=4&transport=polling");
    const { sid } = JSON.parse((await opened.text()).slice(1) || "{}") as { sid?: string };
    if (opened.status !== 200 || sid === undefined)
      return wrong("failed", `HTTP ${opened.status}`, "forward /socket.io/ to the gateway");
    const cookie = opened.headers
      .getSetCookie()
      .map((one) => one.split(";")[0])
      .join("; ");
    for (let i = 0; i < 5; i++) {
      const init = {
        method: "POST",
        body: "3",
        headers: { "content-type": "text/plain", connection: "close", cookie },
      };
      const { status } = await ask(url, `/socket.io/?EIO=4&transport=polling&sid=${sid}`, init);
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
    return opened
      ? ok("upgraded")
      : wrong(
          "failed",
          "the upgrade failed",
          "proxy_http_version 1.1, and forward Upgrade and Connection (see nginx.conf)",
        );
  },
  "round trip": roundTrip,
  "nodes and versions": async ({ url, operator }) => {
    if (operator === "") return { result: "skipped", detail: "needs --operator" };
    const { nodes, missing } = await operatorGet<{
      nodes: { version: string }[];
      missing: { nodeId: string; state: string }[];
    }>(url, operator, "overview");
    const versions = [...new Set(nodes.map(({ version }) => version))];
    const gone = missing.filter(({ state }) => state !== "left").map(({ nodeId, state }) => `${nodeId} is ${state}`);
    if (gone.length > 0) return wrong("failed", gone.join("; "), "look at its log: docs/failures.md#tidegatenodedown");
    if (versions.length > 1) return wrong("warning", versions.join(", "), "complete the rolling update");
    return ok(`${nodes.length} with version ${versions.join()}`);
  },
  "client addresses": async ({ url, operator }) => {
    if (operator === "") return { result: "skipped", detail: "needs --operator" };
    const { connections } = await operatorGet<{ connections: { address: string; userId: string }[] }>(
      url,
      operator,
      "connections",
    );
    const addresses = new Set(connections.map(({ address }) => address));
    const users = new Set(connections.map(({ userId }) => userId));
    if (addresses.size !== 1 || users.size < 5)
      return ok(`${connections.length} connections from ${addresses.size} addresses`);
    const detail = `${users.size} users all come from ${[...addresses].join()}`;
    return wrong("warning", detail, "if that is your proxy, add it to TRUSTED_PROXIES");
  },
  [openFiles]: async () => {
    const limit = openFilesLimit();
    if (limit === undefined) return { result: "skipped", detail: "not known on this system" };
    if (limit >= minOpenFiles) return ok(`${limit} on this machine`);
    return wrong(
      "warning",
      `${limit} on this machine`,
      `raise it: ulimit -n ${minOpenFiles}, LimitNOFILE=, or ulimits.nofile`,
    );
  },
};

/** Checks a deployment from outside, through its proxy. Throws only if the command line or PORT is wrong. */
export async function diagnose(env: Environment, options: DoctorOptions): Promise<Diagnosis[]> {
  const { key = firstKey(env), operator = "" } = options;
  const url = options.url === undefined ? ownAddress(env) : checkAddress(options.url);
  const diagnoses: Diagnosis[] = [];
  for (const [check, run] of Object.entries(checks)) {
    const isUnreachable = diagnoses[0]?.mend === mendUnreachable && check !== openFiles;
    const diagnosis = isUnreachable ? unreachable : await run({ url, key, operator }).catch(failed);
    diagnoses.push({ check, ...diagnosis });
  }
  return diagnoses;
}

const unreachable: Omit<Diagnosis, "check"> = { result: "skipped", detail: "needs a node that answers" };

const failed = (error: unknown): Omit<Diagnosis, "check"> =>
  wrong(
    "failed",
    messageOf(error),
    error instanceof CallError ? "check --key and --operator" : "see the checks before",
  );

const signs = { ok: "✓", warning: "!", failed: "✗", skipped: "–" } as const;

/** One line per check, and one with the mend of what is wrong. */
export const describe = (diagnoses: readonly Diagnosis[]): string =>
  diagnoses
    .flatMap(({ check, result, detail, mend }) => [
      `${signs[result]} ${check}: ${detail}`,
      ...(mend === undefined ? [] : [`    → ${mend}`]),
    ])
    .join("\n");

/** A session of its own, its own channel, and back; nothing of it stays. */
async function roundTrip({ url, key }: Required<DoctorOptions>): Promise<Omit<Diagnosis, "check">> {
  const userId = `doctor-${crypto.randomUUID()}`;
  const { token } = await backendCall<{ token: string }>(url, key, "POST", "/v1/sessions", { userId, ttlSeconds: 60 });
  const { origin, pathname: path } = urlBelow(url, "/socket.io/");
  const client = connect(origin, { token, socket: { path } });
  try {
    const { promise: arrived, resolve } = Promise.withResolvers<void>();
    const channel = client.channel(`user:${userId}`);
    channel.on("publication", () => resolve());
    await Promise.race([channel.subscribe(), rejectedAfter(timeoutMs, "the client could not connect and subscribe")]);
    const startedAt = performance.now();
    await backendCall(url, key, "POST", "/v1/publish", { channel: `user:${userId}`, event: "doctor", data: null });
    await Promise.race([arrived, rejectedAfter(timeoutMs, "no publication arrived")]);
    return ok(`published and received in ${Math.round(performance.now() - startedAt)} ms`);
  } finally {
    client.close();
    await backendCall(url, key, "DELETE", `/v1/users/${userId}/sessions`).catch(() => undefined);
  }
}

const get = (url: string, path: string): Promise<Response> => ask(url, path);
const ask = (url: string, path: string, init: RequestInit = {}): Promise<Response> =>
  fetch(urlBelow(url, path), { ...init, signal: AbortSignal.timeout(timeoutMs) });

async function backendCall<T>(url: string, key: string, method: string, path: string, body?: object): Promise<T> {
  const headers = { authorization: bearer(key), "content-type": "application/json" };
  const response = await ask(url, path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) });
  const answer = (await response.json()) as T & { detail?: string };
  if (!response.ok) throw new CallError(answer.detail ?? `HTTP ${response.status}`);
  return answer;
}

const operatorGet = <T>(url: string, secret: string, path: string): Promise<T> =>
  backendCall<T>(url, secret, "GET", `/v1/operator/${path}`);

function openWebSocket(url: URL): Promise<boolean> {
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new Promise((resolve) => {
    const socket = new WebSocket(url);
    const settle = (isOpen: boolean): void => {
      clearTimeout(timer);
      socket.close();
      resolve(isOpen);
    };
    const timer = setTimeout(() => settle(false), timeoutMs);
    socket.addEventListener("message", ({ data }) => settle(String(data).startsWith("0{")));
    socket.addEventListener("error", () => settle(false));
  });
}

function openFilesLimit(): number | undefined {
  try {
    const [, soft = ""] = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === "" ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}

const rejectedAfter = (ms: number, message: string): Promise<never> =>
  new Promise((_resolve, reject) => setTimeout(() => reject(new Error(message)), ms).unref());

/** With the cause, which `fetch` does not name in its message. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = (error.cause ?? {}) as { code?: unknown };
  return typeof code === "string" ? `${error.message} (${code})` : error.message;
}
