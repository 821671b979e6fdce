import type { ChildProcess } from "node:child_process";

/** How a process ended. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A process of a test's own: it never outlives the test run, however that ends. */
export interface OwnProcess {
  readonly pid: number;
  isRunning(): boolean;
  /** Whether it is running but frozen, so that it answers nobody. */
  readonly isFrozen: boolean;
  /** Settles when it is gone, whoever ended it. */
  readonly ended: Promise<Ended>;
  signal(signal: NodeJS.Signals): void;
  /** `kill -9`; resolves when it is gone. */
  kill(): Promise<Ended>;
  /** SIGSTOP: it keeps its connections and does nothing. */
  freeze(): void;
  thaw(): void;
  /** Asks it to end, makes it end where it has not after `patienceMs`. */
  stop(patienceMs?: number): Promise<Ended>;
}

export function ownProcess(child: ChildProcess): OwnProcess {
  const orphaned = (): void => void child.kill("SIGKILL");
  process.once("exit", orphaned);
  const ended = new Promise<Ended>((resolve) => {
    child.once("exit", (code, signal) => {
      process.off("exit", orphaned);
      resolve({ code, signal });
    });
  });

  let isFrozen = false;
  const freeze = (now: boolean): void => {
    isFrozen = now;
    child.kill(now ? "SIGSTOP" : "SIGCONT");
  };

  return {
    pid: child.pid ?? 0,
    isRunning: () => child.exitCode === null && child.signalCode === null,
    get isFrozen() {
      return isFrozen;
    },
    ended,
    signal: (signal) => void child.kill(signal),
    kill() {
      child.kill("SIGKILL");
      return ended;
    },
    freeze: () => freeze(true),
    thaw: () => freeze(false),
    async stop(patienceMs = 5_000) {
      freeze(false);
      child.kill("SIGTERM");
      const force = setTimeout(() => child.kill("SIGKILL"), patienceMs);
      return ended.finally(() => clearTimeout(force));
    },
  };
}
