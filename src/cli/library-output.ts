import { format } from "node:util";
import type { Logger } from "../runtime/logger.ts";

const methods = ["log", "info", "warn", "error"] as const;

/** Texts that are remembered, so that each is logged once. */
const maxTexts = 100;

/** What libraries print on the console becomes a line of the log like all others, each text once. */
export function logLibraryOutput(log: Logger): void {
  const logged = new Set<string>();
  for (const method of methods) {
    console[method] = (...values: unknown[]) => {
      const text = format(...values);
      if (logged.has(text)) return;
      if (logged.size >= maxTexts) logged.clear();
      logged.add(text);
      log.warn({ text }, "message printed by a library");
    };
  }
}
