import type { Clock } from "../runtime/clock.ts";

/** `degraded`: it works, but a promise is weaker than it should be. */
export type CheckStatus = "ok" | "degraded" | "failing";

export interface CheckResult {
  status: CheckStatus;
  /** One clear line for operators. It is public: no addresses, no secrets. */
  note?: string;
}

/** Looks at one thing a node needs. Rejecting, or not answering in time, is `failing`. */
export type Check = () => Promise<CheckResult> | CheckResult;

export interface ReadinessReport {
  status: "ready" | "degraded" | "unavailable";
  checks: Record<string, CheckResult>;
}

/** Whether this node should get traffic. */
export type Readiness = () => Promise<ReadinessReport>;

export interface ReadinessOptions {
  /** Milliseconds after which a check that has not answered is failing. @default 1000 */
  checkTimeoutMs?: number;
}

/** All checks run side by side; callers that ask at the same time share one run. */
export function createReadiness(
  { checks, clock }: { checks: Readonly<Record<string, Check>>; clock: Clock },
  { checkTimeoutMs = 1_000 }: ReadinessOptions = {},
): Readiness {
  let running: Promise<ReadinessReport> | undefined;

  async function run(): Promise<ReadinessReport> {
    const results = await Promise.all(
      Object.entries(checks).map(async ([name, check]) => [name, await within(check, checkTimeoutMs, clock)] as const),
    );
    return { status: worst(results.map(([, result]) => result.status)), checks: Object.fromEntries(results) };
  }

  return () => (running ??= run().finally(() => (running = undefined)));
}

async function within(check: Check, timeoutMs: number, clock: Clock): Promise<CheckResult> {
  const { promise: late, resolve } = Promise.withResolvers<CheckResult>();
  const cancel = clock.after(timeoutMs, () => resolve({ status: "failing", note: "no answer in time" }));
  const answer = (async () => check())().catch((): CheckResult => ({ status: "failing" }));
  const result = await Promise.race([answer, late]);
  cancel();
  return result;
}

function worst(statuses: readonly CheckStatus[]): ReadinessReport["status"] {
  if (statuses.includes("failing")) return "unavailable";
  return statuses.includes("degraded") ? "degraded" : "ready";
}
