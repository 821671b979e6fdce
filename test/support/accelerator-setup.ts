import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { compileAccelerator } from "../../scripts/compile-accelerator.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** What `ACCELERATOR` is to say. */
    accelerator: string;
  }
}

/** An accelerator of the sources as they are. */
export default function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), "tidegate-accelerator-"));
  const file = join(folder, "send-each.node");
  compileAccelerator(file);
  project.provide("accelerator", file);
  return () => rmSync(folder, { recursive: true });
}
