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

/** Where `npm run accelerate` puts what it compiles. */
export const acceleratorFile = fileURLToPath(new URL("../../native/send-each.node", import.meta.url));

/** What of `loadAccelerator` is the place's, not the operator's. */
export interface AcceleratorPlace {
  log: Logger;
  /** @default where `npm run accelerate` compiles to */
  compiledFile?: string;
}

/**
 * The compiled part (`native/send-each.c`), which nothing depends on; undefined where there is none. `wanted` is a file that
 * must be there, or "off" for none at all. Throws where a file that was asked for cannot be loaded; the one that is there
 * by itself, perhaps compiled for another machine, is left alone then, with a warning.
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
