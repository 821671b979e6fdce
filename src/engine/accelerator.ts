import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Logger } from "../runtime/logger.ts";

/**
 * Writes the same bytes to the first `count` file descriptors without waiting. `sent` gets for each how many the kernel took
 * at once, or a negative errno. Throws a TypeError for anything but such arrays.
 */
export type SendEach = (descriptors: Int32Array, count: number, bytes: Uint8Array, sent: Int32Array) => void;

/** The output of `npm run accelerate`. */
export const acceleratorFile = fileURLToPath(new URL("../../native/send-each.node", import.meta.url));

/** Set by the process, not by the operator. */
export interface AcceleratorPlace {
  log: Logger;
  /** @default where `npm run accelerate` compiles to */
  compiledFile?: string;
}

/**
 * Loads the optional compiled part (`native/send-each.c`); undefined if there is none. `wanted` names a file that must exist,
 * or is "off". Throws if a requested file cannot be loaded. If the default file cannot be loaded, perhaps because it was
 * compiled for another machine, it is ignored with a warning.
 */
export function loadAccelerator(
  wanted: string | undefined,
  { log, compiledFile = acceleratorFile }: AcceleratorPlace,
): SendEach | undefined {
  if (wanted === "off") return undefined;
  if (wanted !== undefined) return load(wanted, log);
  if (!existsSync(compiledFile)) return undefined;
  try {
    return load(compiledFile, log);
  } catch (error) {
    log.warn({ reason: String(error) }, "the accelerator cannot be loaded; continuing without it");
    return undefined;
  }
}

function load(file: string, log: Logger): SendEach {
  const { sendEach } = open(resolve(file));
  if (typeof sendEach !== "function") throw new Error(`ACCELERATOR: ${file} is not the accelerator`);
  log.info({ file }, "accelerator enabled");
  return sendEach;
}

function open(file: string): { sendEach?: SendEach } {
  try {
    return createRequire(import.meta.url)(file) as { sendEach?: SendEach };
  } catch (cause) {
    const [reason = ""] = String(cause).split("\n");
    throw new Error(`ACCELERATOR: ${file} cannot be loaded (${reason})`, { cause });
  }
}
