import type { Environment } from "../config/environment.ts";
import { checkAddress, firstKey, ownAddress } from "./backend-calls.ts";
import {
  backendCall,
  CheckFailure,
  messageOf,
  skipped,
  wrong,
  type Diagnosis,
  type CheckOutcome,
  type Overview,
} from "./doctor-calls.ts";
import { clusterChecks } from "./doctor-cluster.ts";
import { edgeChecks, mendUnreachable } from "./doctor-edge.ts";
import { examineMachine } from "./doctor-machine.ts";

export interface DoctorOptions {
  url?: string;
  key?: string;
  /** Operator secret; enables the checks of the whole cluster. */
  operator?: string;
  /** Origin of the pages that connect, which must be allowed. */
  origin?: string;
}

/** Checks a deployment from outside, through its proxy. Throws only if the command line or PORT is wrong. */
export async function diagnose(env: Environment, options: DoctorOptions): Promise<Diagnosis[]> {
  const { key = firstKey(env), operator = "", origin = "" } = options;
  const url = options.url === undefined ? ownAddress(env) : checkAddress(options.url);
  const operatorGet = <T>(path: string): Promise<T> => backendCall<T>(url, operator, "GET", `/v1/operator/${path}`);
  let read: Promise<Overview> | undefined;
  const overview = operator === "" ? undefined : () => (read ??= operatorGet<Overview>("overview"));
  const diagnoses: Diagnosis[] = [];
  for (const [check, run] of Object.entries({ ...edgeChecks, ...clusterChecks })) {
    const isUnreachable = diagnoses[0]?.mend === mendUnreachable;
    const finding = isUnreachable ? unreachable : await run({ url, key, origin, overview, operatorGet }).catch(failed);
    diagnoses.push({ check, ...finding });
  }
  return [...diagnoses, ...examineMachine()];
}

const unreachable = skipped("needs a node that answers");

const failed = (error: unknown): CheckOutcome =>
  wrong("failed", messageOf(error), error instanceof CheckFailure ? error.mend : "see the checks before");

const signs = { ok: "✓", warning: "!", failed: "✗", skipped: "–" } as const;

/** One line per check, and one with the mend of what is wrong. */
export const describe = (diagnoses: readonly Diagnosis[]): string =>
  diagnoses
    .flatMap(({ check, result, detail, mend }) => [
      `${signs[result]} ${check}: ${detail}`,
      ...(mend === undefined ? [] : [`    → ${mend}`]),
    ])
    .join("\n");
