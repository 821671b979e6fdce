import { defineConfig } from "vitest/config";
import { needs } from "./scripts/needs.ts";

const needAccelerator = "test/fan-out/accelerator.test.ts";

const tests = {
  name: "tests",
  include: ["test/**/*.test.ts"],
  exclude: [needAccelerator],
  provide: { accelerator: "off" },
};

/** Fan-out once more, by the compiled accelerator. */
const accelerated = {
  name: "accelerated",
  include: ["test/fan-out/*.test.ts"],
  globalSetup: ["test/support/accelerator-setup.ts"],
};

const projects = needs.compiler.isInstalled() ? [tests, accelerated] : [tests];

export default defineConfig({
  test: {
    globalSetup: ["test/support/global-setup.ts"],
    maxWorkers: 3,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    expect: { poll: { timeout: 30_000 } },
    projects: projects.map((project) => ({ extends: true, test: project })),
  },
});
