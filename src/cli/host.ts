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
  /** Calls `listener` with uncaught errors; the process continues. */
  onStrayError(listener: (kind: StrayErrorKind, error: unknown) => void): void;
  exit(code: number): void;
}

export type StrayErrorKind = "exception" | "rejection";

/** Documented in `--help`. */
export const exitCodes = {
  fine: 0,
  /** The command failed, the drain exceeded its deadline, or a load test missed a threshold. */
  failed: 1,
  /** A load test was interrupted; the code that shells use for Ctrl-C. */
  interrupted: 130,
  /** The command line was not understood; EX_USAGE of sysexits.h. */
  usage: 64,
  /** The configuration cannot be used; EX_CONFIG of sysexits.h. */
  config: 78,
} as const;
