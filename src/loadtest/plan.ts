import type { Scenario } from "./scenario.ts";

/** What the virtual clients talk to: a gateway, or a plain Socket.IO server that keeps the lab's few conventions. */
export const targets = ["gateway", "plain"] as const;
export type Target = (typeof targets)[number];

/** One run: the scenario, and everything that is true of this run only. */
export interface Plan {
  scenario: Scenario;
  target: Target;
  /** Origins of the nodes, at least one. */
  addresses: readonly string[];
  /** Where the nodes listen for Socket.IO. */
  path: string;
  /** Processes that hold readers; one more publishes. */
  workers: number;
  seed: number;
  /** Marks users and channels, so that runs do not meet. */
  run: string;
  /** For signing in and publishing; a plain server needs none. */
  apiKey: string;
}

/** One clock for all processes of a machine: epoch milliseconds with a fraction, which never jump within a process. */
export const labNow = (): number => performance.timeOrigin + performance.now();
