import { readFileSync } from "node:fs";
import { ok, skipped, wrong, type Diagnosis, type CheckOutcome } from "./doctor-calls.ts";

const minOpenFiles = 65_536;
const minBacklog = 1_024;
const minTracked = 65_536;
/** Share of the table of tracked connections that may be in use. */
const maxTrackedShare = 0.8;

/** Reads a file of `/proc`; throws if it does not exist. */
type ReadText = (path: string) => string;

/** What a machine limits for all its programs: run doctor on a gateway's machine, or in its container. */
export function examineMachine(read: ReadText = (path) => readFileSync(path, "utf8")): Diagnosis[] {
  const number = (path: string): number | undefined => numberIn(() => read(path));
  const openFiles = numberIn(() => /^Max open files\s+(\d+)/m.exec(read("/proc/self/limits"))?.[1] ?? "");
  const backlog = number("/proc/sys/net/core/somaxconn");
  const [tracked, maxTracked] = ["count", "max"].map((name) => number(`/proc/sys/net/netfilter/nf_conntrack_${name}`));
  return [
    { check: "open files", ...openFilesOutcome(openFiles) },
    { check: "TCP backlog", ...backlogOutcome(backlog) },
    { check: "conntrack", ...conntrackOutcome(tracked, maxTracked) },
  ];
}

function openFilesOutcome(limit: number | undefined): CheckOutcome {
  if (limit === undefined) return unknown;
  if (limit >= minOpenFiles) return ok(`${limit} on this machine`);
  const mend = `raise it: ulimit -n ${minOpenFiles}, LimitNOFILE=, or ulimits.nofile`;
  return wrong("warning", `${limit} on this machine`, mend);
}

function backlogOutcome(backlog: number | undefined): CheckOutcome {
  if (backlog === undefined) return unknown;
  if (backlog >= minBacklog) return ok(`${backlog} on this machine`);
  const detail = `${backlog} on this machine: a wave of reconnecting clients is cut off`;
  return wrong("warning", detail, "sysctl -w net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096");
}

function conntrackOutcome(tracked: number | undefined, max: number | undefined): CheckOutcome {
  if (tracked === undefined || max === undefined) return ok("this machine tracks no connections");
  const detail = `${tracked} of ${max} connections tracked on this machine`;
  if (max >= minTracked && tracked <= max * maxTrackedShare) return ok(detail);
  return wrong("warning", `${detail}; beyond, packets are dropped`, "sysctl -w net.netfilter.nf_conntrack_max=1048576");
}

const unknown = skipped("not known on this system");

function numberIn(read: () => string): number | undefined {
  try {
    const text = read().trim();
    return /^\d+$/.test(text) ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}
