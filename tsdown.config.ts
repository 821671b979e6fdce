import { globSync, readFileSync } from "node:fs";
import { defineConfig, type Rolldown, type UserConfig } from "tsdown";
import { minifySync } from "vite";

/** Builds the packages for browsers and backends: each bundled for `import` and `require`, with its types, and checked. */
const shared: UserConfig = {
  // `import`: every browser of the last three years, and Node 18. `require`: also older bundlers and engines.
  format: { esm: { target: ["es2022"] }, cjs: { target: ["es2019"] } },
  tsconfig: "../tsconfig.packages.json",
  dts: true,
  fixedExtension: true,
  hash: false,
  // Without a prefix, a chunk of shared declarations may take the name of an entry, such as `client.d.mts`.
  outputOptions: (options, format) => ({
    ...options,
    chunkFileNames: `shared-[name].${format === "cjs" ? "cjs" : "mjs"}`,
  }),
  clean: true,
  report: false,
  logLevel: "warn",
  publint: true,
  attw: { profile: "strict", level: "error" },
};

const letters = Array.from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

/** Members of the client's own objects, `_take`, and the letter that stands for each in every chunk. */
function shortNames(): Record<string, string> {
  const sources = globSync("src/client/*.ts").map((file) => readFileSync(file, "utf8"));
  const names = [...new Set(sources.join("\n").match(/(?<=[.\s{(])_[a-z]\w*/gi))].toSorted();
  if (names.length > letters.length)
    throw new Error(`The client has ${names.length} internal names, for ${letters.length} letters.`);
  return Object.fromEntries(names.map((name, index) => [name, letters[index] ?? name]));
}

/** A bundler cannot know that nobody else uses the members whose names begin with `_`, so they are shortened here. */
function shortenInternalNames(): Rolldown.Plugin {
  const cache = shortNames();
  return {
    name: "shorten-internal-names",
    renderChunk: (code, { fileName }) =>
      /\.[cm]js$/.test(fileName)
        ? minifySync(fileName, code, {
            module: fileName.endsWith(".mjs"),
            compress: false,
            mangle: false,
            codegen: { removeWhitespace: false },
            mangleProps: { include: /^_[a-z]/, cache },
            sourcemap: true,
          })
        : null,
  };
}

export default defineConfig([
  {
    ...shared,
    cwd: "client",
    platform: "neutral",
    sourcemap: true,
    plugins: [shortenInternalNames()],
    entry: {
      client: "../src/client/client.ts",
      channels: "../src/client/channels-only.ts",
      react: "../src/client/react.ts",
    },
  },
  { ...shared, cwd: "publisher", platform: "node", entry: { publisher: "../src/publisher/publisher.ts" } },
]);
