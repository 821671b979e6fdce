import { onTestFinished } from "vitest";
import { createReader } from "../../src/loadtest/clients/create-reader.ts";
import { Dialer } from "../../src/loadtest/clients/dialer.ts";
import { createLogin } from "../../src/loadtest/clients/login.ts";
import { createParser } from "../../src/loadtest/clients/parse-once.ts";
import type { Reader } from "../../src/loadtest/clients/reader.ts";
import { seededFor } from "../../src/loadtest/random.ts";
import type { BackendCalls } from "./gateway.ts";
import { eventually } from "./world.ts";

/** Many real connections from this process, that come back by themselves as behind a load balancer. */
export interface Crowd {
  /** Connected and subscribed now. */
  readonly ready: number;
  /** Resolves when all are. */
  complete(): Promise<void>;
}

export interface CrowdOptions {
  connections: number;
  urls: readonly string[];
  backend: Pick<BackendCalls, "call">;
  userOf: (index: number) => string;
  channelsOf: (index: number) => string[];
  seed: number;
}

/** Connections that are opened at the same time. */
const atOnce = 100;
const dialTimeoutMs = 300_000;

/** Connects all of them; the nodes get equal shares. They end with the test. */
export async function gatherCrowd(options: CrowdOptions): Promise<Crowd> {
  const { connections, urls, seed } = options;
  const random = seededFor(seed, "crowd");
  const parse = createParser();
  const addresses = urls.map((url) => new URL(url));
  const readers: Reader[] = [];
  let ready = 0;
  onTestFinished(() => readers.forEach((reader) => reader.close()));

  async function join(index: number): Promise<void> {
    const { body } = await options.backend.call("POST", "/v1/sessions", { userId: options.userOf(index) });
    const login = createLogin(body as { token: string }, () => Promise.reject(new Error("tokens outlive the test")));
    const dialer = new Dialer(addresses, index % addresses.length);
    let isReady = false;
    const set = (now: boolean): void => {
      if (now !== isReady) ready += now ? 1 : -1;
      isReady = now;
    };
    const ignored = (): void => undefined;
    const joined = Promise.withResolvers<void>();
    const observer = {
      ready: () => (set(true), joined.resolve()),
      lost: () => set(false),
      refused: ignored,
      closing: ignored,
      subscribed: ignored,
      reset: ignored,
      publication: ignored,
    };
    const deps = { kind: "lean", target: "gateway", dialer, path: "/socket.io/", login, random, parse } as const;
    const reader = createReader(deps, { channels: options.channelsOf(index), observer });
    readers.push(reader);
    reader.open();
    await joined.promise;
  }

  for (let first = 0; first < connections; first += atOnce)
    await Promise.all(Array.from({ length: Math.min(atOnce, connections - first) }, (_, nth) => join(first + nth)));

  return {
    get ready() {
      return ready;
    },
    complete: () =>
      eventually(() => {
        if (ready !== connections) throw new Error(`${ready} of ${connections} are connected`);
      }, dialTimeoutMs),
  };
}
