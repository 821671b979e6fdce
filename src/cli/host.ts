import type { Environment } from "../config/environment.ts";

/** What the command line may do to the process it runs in; `main.ts` hands it over. */
export interface Host {
  readonly env: Environment;
  /** Whether standard output is a person's terminal. */
  readonly isTerminal: boolean;
  /** A line for standard output. */
  print(text: string): void;
  /** A line for standard error. */
  complain(text: string): void;
  /** Calls `listener` on each request to end. */
  onSignal(listener: (signal: string) => void): void;
  /** Calls `listener` with what nobody caught; the process lives on. */
  onStrayError(listener: (kind: StrayErrorKind, error: unknown) => void): void;
  exit(code: number): void;
}

export type StrayErrorKind = "exception" | "rejection";

/** Documented in `--help`. */
export const exitCodes = {
  fine: 0,
  /** The command could not do what it was asked, the drain met its deadline, or a load test missed a threshold. */
  failed: 1,
  /** A load test was ended before its time; what a shell says of Ctrl-C. */
  interrupted: 130,
  /** The command line was not understood; EX_USAGE of sysexits.h. */
  usage: 64,
  /** The configuration cannot be used; EX_CONFIG of sysexits.h. */
  config: 78,
} as const;
