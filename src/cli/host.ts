import type { Environment } from "../config/environment.ts";

/** The process, as the command line sees it; `main.ts` implements it. */
export interface Host {
  readonly env: Environment;
  /** Whether standard output is a person's terminal. */
  readonly isTerminal: boolean;
  /** A line for standard output. */
  print(text: string): void;
  /** A line for standard error. */
  printError(text: string): void;
  /** Calls `listener` on each request to end. */
  onSignal(listener: (signal: string) => void): void;
  /** Calls `listener` when nobody reads standard output any more, as after `| head`; what is printed then is dropped. */
  onOutputClosed(listener: () => void): void;
  /** Calls `listener` with uncaught errors; the process continues. */
  onStrayError(listener: (kind: StrayErrorKind, error: unknown) => void): void;
  exit(code: number): void;
}

export type StrayErrorKind = "exception" | "rejection";

/** Those of a wrong command line and a wrong configuration are of sysexits.h, that of an interruption is of shells. */
export const exitCodes = { fine: 0, failed: 1, usage: 64, config: 78, interrupted: 130 } as const;

/** Printed by `--help`. */
export const exitCodeMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  fine: "success",
  failed:
    "failure, breaking changes of a contract, a drain that exceeded its deadline, or a load test over a threshold",
  usage: "invalid command line",
  config: "invalid configuration; every problem is listed",
  interrupted: "load test interrupted; its report was written",
};
