import type { Scenario } from "./scenario.ts";

/** Server under test: a gateway, or a plain Socket.IO server with the events of docs/loadtest.md. */
export const targets = ["gateway", "plain"] as const;
export type Target = (typeof targets)[number];

/** One run: the scenario and the settings of this run. */
export interface Plan {
  scenario: Scenario;
  target: Target;
  /** Origins of the nodes, at least one. */
  addresses: readonly string[];
  /** Socket.IO path of the nodes. */
  path: string;
  /** Number of processes with readers; one more publishes. */
  workers: number;
  seed: number;
  /** Part of user and channel names, so that runs do not affect each other. */
  run: string;
  /** For creating sessions and publishing; a plain server needs none. */
  apiKey: string;
}

/** Epoch milliseconds with a fraction; monotonic within a process, comparable between processes of one machine. */
export const epochNow = (): number => performance.timeOrigin + performance.now();
