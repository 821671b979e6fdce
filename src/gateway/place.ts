import type { MetricsText } from "../runtime/metrics.ts";
import type { SiblingsDeps } from "../engine/siblings/siblings.ts";

/** Where a node stands that shares its port with others of this machine. */
export interface Place extends SiblingsDeps {
  /** Of all of them, for a scrape of the common port reaches any. */
  readonly metrics: MetricsText;
  /** How many of them are up. */
  running(): number;
}
