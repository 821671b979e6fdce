import { setTimeout as sleep } from "node:timers/promises";
import type { z } from "zod";
import { readOperators } from "../config/credentials.ts";
import { createEnvironmentReader, type Environment } from "../config/environment.ts";
import type { LiveTrace, TraceBody, tracePage } from "../protocol/operator/traces.ts";
import { callGateway, CommandLineError } from "./backend-calls.ts";
import type { Host } from "./host.ts";
import { onRequestToEnd } from "./signals.ts";
import { withoutControls } from "./terminal-text.ts";

export interface TraceOptions {
  user?: string;
  connection?: string;
  channel?: string;
  seconds?: number;
  url?: string;
  /** Secret of an operator with the role `admin`. */
  operator?: string;
  json?: true;
}

type TraceAnswer = z.output<typeof tracePage>;

const pollMs = 1_000;

/** Prints what happens to a user, connection or channel on all nodes, until the trace ends or the command is interrupted. */
export async function trace(host: Host, options: TraceOptions): Promise<void> {
  const { user: userId, connection: connectionId, channel, seconds, json } = options;
  const subject: Partial<TraceBody> = { userId, connectionId, channel, ...(seconds === undefined ? {} : { seconds }) };
  if ([userId, connectionId, channel].filter((one) => one !== undefined).length !== 1)
    throw new CommandLineError("give exactly one of --user, --connection and --channel");
  const key = options.operator ?? firstAdmin(host.env);
  const call = <T>(method: string, path: string, expected: string, body?: object): Promise<T> =>
    callGateway(host.env, { ...options, key }, { method, path: `/v1/operator/traces${path}`, body, expected });

  const { traceId, endsAt } = await call<LiveTrace>("POST", "", "traceId", subject);
  if (json !== true) host.print(`tracing until ${new Date(endsAt).toISOString()}; stop with Ctrl-C`);
  const stopping = new AbortController();
  onRequestToEnd(host, () => stopping.abort());
  host.onOutputClosed(() => stopping.abort());
  const print = (event: TraceAnswer["events"][number]): void =>
    host.print(json === true ? JSON.stringify(event) : lineOf(event));
  await follow((cursor) => call<TraceAnswer>("GET", `/${traceId}${cursor}`, "events"), {
    print,
    host,
    signal: stopping.signal,
  });
  if (stopping.signal.aborted) await call("DELETE", `/${traceId}`, "stopped");
}

async function follow(
  read: (cursor: string) => Promise<TraceAnswer>,
  { print, host, signal }: { print: (event: TraceAnswer["events"][number]) => void; host: Host; signal: AbortSignal },
): Promise<void> {
  let skipped = 0;
  let silent = "";
  for (let cursor = ""; !signal.aborted;) {
    const page = await read(cursor);
    for (const event of page.events) print(event);
    if (page.skipped > skipped) host.printError(`${page.skipped - skipped} more were not recorded: too many at once`);
    if (page.silent.join() !== silent) host.printError(`no answer from ${page.silent.join(", ") || "nobody any more"}`);
    skipped = page.skipped;
    silent = page.silent.join();
    if (page.cursor !== undefined) cursor = `?cursor=${encodeURIComponent(page.cursor)}`;
    if (page.events.length > 0) continue;
    if (page.hasEnded) return;
    // A timer that keeps the process alive: nothing else does between two calls.
    await sleep(pollMs, undefined, { signal }).catch(() => undefined);
  }
}

/** One event as a line: when, where, what, on whom, how it ended. */
function lineOf(event: TraceAnswer["events"][number]): string {
  const { at, nodeId, kind, step, position, ms, code, connectionIds, receivers } = event;
  const parts = [
    new Date(at).toISOString(),
    nodeId,
    step === undefined ? kind : `${kind}: ${step}`,
    event.event,
    event.channel,
    event.userId,
    event.connectionId ?? connectionIds?.join(","),
    position && `at ${position.epoch}:${position.offset}`,
    event.path,
    receivers === undefined ? undefined : `to ${receivers} connections`,
    event.from && `from ${event.from}`,
    event.to && `to ${event.to}`,
    event.recovered === undefined ? undefined : event.recovered ? `recovered ${event.missed} missed` : "not recovered",
    event.args,
    event.answer && `→ ${event.answer}`,
    [code, event.rule, event.detail].filter((part) => part !== undefined).join(" · "),
    event.transport,
    event.address,
    ms === undefined ? undefined : `${ms} ms`,
  ];
  return withoutControls(parts.filter((part) => part !== undefined && part !== "").join("  "));
}

/** The first of OPERATORS that may act. */
function firstAdmin(env: Environment): string {
  const admin = readOperators(createEnvironmentReader(env, []), false).find(({ role }) => role === "admin");
  if (admin === undefined) throw new CommandLineError("give the secret of an operator with the role admin: --operator");
  return admin.secret;
}
