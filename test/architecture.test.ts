import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findCycle, importsOf, readSources, repository, type Import, type SourceFile } from "./support/source-tree.ts";

/**
 * Which rooms of `src` each room may import, types included. What a room needs from one that is not listed it takes as
 * a function, which `gateway.ts` hands over.
 */
const mayImport: Record<string, readonly string[] | "everything"> = {
  protocol: [],
  runtime: [],
  redis: ["protocol", "runtime"],
  cache: ["runtime", "redis"],
  throttling: ["runtime", "redis"],
  cluster: ["runtime", "redis"],
  auth: ["protocol", "runtime", "redis"],
  channels: ["protocol", "runtime", "redis"],
  webhooks: ["protocol", "runtime", "redis", "cluster"],
  presence: ["protocol", "runtime", "redis", "channels", "cluster"],
  state: ["protocol", "runtime", "redis", "channels", "cluster"],
  leaderboards: ["protocol", "runtime", "redis", "channels"],
  orders: ["protocol", "runtime", "redis", "channels", "webhooks"],
  commands: ["protocol", "runtime", "redis", "cluster", "channels", "orders", "leaderboards", "auth"],
  engine: ["protocol", "runtime"],
  connections: [
    "protocol",
    "runtime",
    "redis",
    "throttling",
    "cluster",
    "auth",
    "channels",
    "webhooks",
    "presence",
    "state",
    "leaderboards",
    "orders",
    "commands",
    "engine",
  ],
  http: ["protocol", "runtime", "auth", "channels", "presence", "state", "leaderboards", "orders", "commands"],
  operator: [
    "protocol",
    "runtime",
    "redis",
    "throttling",
    "cluster",
    "auth",
    "channels",
    "presence",
    "state",
    "leaderboards",
    "orders",
    "connections",
    "commands",
    "http",
  ],
  app: ["protocol", "runtime", "redis", "webhooks", "engine", "connections"],
  client: ["protocol"],
  publisher: ["protocol"],
  loadtest: ["protocol", "runtime", "client"],
  config: "everything",
  // Keeps several processes up, each with a node in it: it stands above the node, and knows nothing of what is inside.
  workers: ["runtime", "gateway", "config.ts"],
  cli: "everything",
  "config.ts": "everything",
  gateway: "everything",
  "gateway.ts": "everything",
  "embedding.ts": "everything",
  testing: "everything",
  "index.ts": "everything",
  "main.ts": ["cli", "runtime"],
};

/** Libraries with a door of their own. */
const doors: { library: RegExp; mayKnow: (path: string) => boolean }[] = [
  {
    library: /^ioredis$/,
    mayKnow: (path) => path.startsWith("redis/") || path.endsWith("-store.ts") || path === "channels/channel-log.ts",
  },
  {
    library: /^(socket\.io|@socket\.io\/.+|engine\.io|express)$/,
    mayKnow: (path) =>
      /^(engine|connections|http|app)\//.test(path) || path === "embedding.ts" || path === "gateway.ts",
  },
  { library: /^ws$/, mayKnow: (path) => /^(engine|loadtest)\//.test(path) },
  { library: /^socket\.io-client$/, mayKnow: (path) => /^(client|loadtest|testing)\//.test(path) },
  { library: /^jsonwebtoken$/, mayKnow: (path) => path === "auth/signatures.ts" },
  { library: /^pg$/, mayKnow: (path) => path.startsWith("commands/outbox/") },
  { library: /^commander$/, mayKnow: (path) => path.startsWith("cli/") },
];

const files = readSources();

describe("imports", () => {
  test("each room has its place in the table", () => {
    expect(files.map(({ room }) => room).filter((room) => !(room in mayImport))).toEqual([]);
  });

  test("run downwards only", () => {
    expect(offences((file, target) => !isAllowed(file, target))).toEqual([]);
  });

  test("of the network edge stop at the services: the stores belong to their rooms", () => {
    const isInside = (path: string) => path.endsWith("-store.ts") || path === "channels/channel-log.ts";

    expect(
      offences(
        (file, { path, isTypeOnly }) =>
          ["engine", "connections", "http"].includes(file.room) && !isTypeOnly && path !== undefined && isInside(path),
      ),
    ).toEqual([]);
  });

  test("of files of ours end in files that exist", () => {
    const known = new Set(files.map(({ path }) => path));

    expect(offences((_, { path }) => path !== undefined && path.endsWith(".ts") && !known.has(path))).toEqual([]);
  });

  test("form no cycle, types included", () => {
    expect(findCycle(files)).toBeUndefined();
  });

  test("of a library stay behind its door", () => {
    const isOutside = (file: SourceFile, { library }: Import) =>
      doors.some((door) => library !== undefined && door.library.test(library) && !door.mayKnow(file.path));

    expect(offences(isOutside)).toEqual([]);
  });

  test.each(["client/", "protocol/contract/contract.ts"])("of %s bring no schemas of ours into a browser", (start) => {
    const byPath = new Map(files.map((file) => [file.path, file]));
    const reached = reachable(byPath, start);

    expect(reached.filter(({ imports }) => imports.some(isForServers)).map(({ path }) => path)).toEqual([]);
  });

  test("are found however they are written", () => {
    const text = [
      'import a from "./a.ts";',
      'import type { B } from "../b/b.ts";',
      'import {\n  c,\n  type C,\n} from "c/deep";',
      'export { d } from "@d/d/deep";',
      'export type * from "./e.ts";',
      'import "./f.ts";',
      '// import g from "./g.ts";',
      'const later = await import("./h.ts");',
    ].join("\n");

    expect(importsOf("room/file.ts", text)).toEqual([
      { specifier: "./a.ts", path: "room/a.ts", library: undefined, isTypeOnly: false },
      { specifier: "../b/b.ts", path: "b/b.ts", library: undefined, isTypeOnly: true },
      { specifier: "c/deep", path: undefined, library: "c", isTypeOnly: false },
      { specifier: "@d/d/deep", path: undefined, library: "@d/d", isTypeOnly: false },
      { specifier: "./e.ts", path: "room/e.ts", library: undefined, isTypeOnly: true },
      { specifier: "./f.ts", path: "room/f.ts", library: undefined, isTypeOnly: false },
      { specifier: "./h.ts", path: "room/h.ts", library: undefined, isTypeOnly: false },
    ]);
  });
});

describe("the source", () => {
  test("touches the process in main.ts alone", () => {
    const touching = files.filter(({ text }) => /\bprocess\.(env|exit|exitCode|argv|on|once)\b/.test(text));

    expect(touching.map(({ path }) => path)).toEqual(["main.ts"]);
  });

  test("builds no script for Redis from strings", () => {
    const running = files.filter(({ text }) => /\.(eval|evalsha|defineCommand)\s*\(|["']EVAL(SHA)?["']/i.test(text));

    expect(running.map(({ path }) => path)).toEqual(["redis/scripts.ts"]);
  });

  test("casts past the types only into private parts of libraries, each with a test of its own", () => {
    const casting = files.flatMap(({ path, text }) => [...text.matchAll(/\bas unknown as\b/g)].map(() => path));

    expect(casting).toEqual([
      "redis/store-worker.ts", // embedded-store.test.ts
      "redis/write-together.ts", // write-together.test.ts
      "runtime/net-handle.ts", // connection-writer.test.ts, workers/
      "runtime/net-handle.ts",
    ]);
    // Those of Socket.IO have one entrance, which needs no cast: edge/socket-io.test.ts.
    const entering = files.filter(({ text }) => /\b(_preConnectSockets|_fns|_ids|EngineSeam)\b/.test(text));
    expect(entering.map(({ path }) => path)).toEqual(["connections/socket-io.ts"]);
  });

  test("asks Redis for no KEYS", () => {
    expect(files.filter(({ text }) => /redis\w*\.keys\(|["']KEYS["']/.test(text)).map(({ path }) => path)).toEqual([]);
  });

  test("has no file that a reader could get lost in", () => {
    const long = files.filter(({ text }) => text.split("\n").length > 400);

    expect(long.map(({ path }) => path)).toEqual([]);
  });

  test("carries no path of the machine it was written on", () => {
    const places = [repository, join(homedir(), "/")];

    const speaking = trackedFiles().filter((path) => {
      const text = readFileSync(join(repository, path), "utf8");
      return places.some((place) => text.includes(place));
    });

    expect(speaking).toEqual([]);
  });

  test("has a lock that names no registry", () => {
    const lock = readFileSync(join(repository, "package-lock.json"), "utf8");

    expect(lock).not.toMatch(/"resolved"|https?:\/\/[^"]*\.tgz/);
  });
});

function isAllowed(file: SourceFile, { path }: Import): boolean {
  if (path === undefined) return true;
  const room = path.split("/")[0] ?? path;
  const allowed = mayImport[file.room];
  return room === file.room || allowed === "everything" || (allowed?.includes(room) ?? false);
}

function offences(isOffence: (file: SourceFile, target: Import) => boolean): string[] {
  return files.flatMap((file) =>
    file.imports
      .filter((target) => isOffence(file, target))
      .map(({ specifier }) => `${file.path} imports ${specifier}`),
  );
}

const isForServers = ({ library, specifier, isTypeOnly }: Import): boolean =>
  !isTypeOnly && (library === "zod" || specifier.startsWith("node:"));

/** Every file that is still imported, when the program runs, by the files whose paths begin with `start`. */
function reachable(byPath: ReadonlyMap<string, SourceFile>, start: string): SourceFile[] {
  const reached = new Set([...byPath.values()].filter(({ path }) => path.startsWith(start)));
  for (const { imports } of reached) {
    for (const { path, isTypeOnly } of imports) {
      const next = isTypeOnly || path === undefined ? undefined : byPath.get(path);
      if (next !== undefined) reached.add(next);
    }
  }
  return [...reached];
}

/** What git keeps; a folder that is no checkout has nothing to tell. */
function trackedFiles(): string[] {
  try {
    const list = execFileSync("git", ["ls-files", "-z"], { cwd: repository, encoding: "utf8", stdio: "pipe" });
    return list.split("\0").filter((path) => path !== "" && !/\.(png|ico|woff2)$/.test(path));
  } catch {
    return [];
  }
}
