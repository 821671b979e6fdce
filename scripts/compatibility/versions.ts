/** Versions of Node that are run: those that the libraries support, the oldest that the gateway supports, and the current ones. */
export const nodeVersions = ["18", "20", "22.18.0", "22", "24", "26"] as const;

/** Those of them that run the gateway. */
export const supportedNodes: readonly string[] = ["22.18.0", "22", "24", "26"];

/** Versions of socket.io-client: the first of the protocol, of 4, the last without recovery, and the current one. */
export const clientVersions = ["3", "4.0", "4.5", "4.8"] as const;

/** What runs the libraries beside Node. npm has its executable, in a package for each platform. */
export interface Runtime {
  name: "Bun" | "Deno";
  version: string;
  package: string;
  /** Path in the package. */
  executable: string;
  /** Arguments before a program. */
  run: readonly string[];
}

const { platform, arch } = process;

export const runtimes: readonly Runtime[] = [
  {
    name: "Bun",
    version: "1.4.5",
    package: `@oven/bun-${platform}-${arch === "arm64" ? "aarch64" : arch}`,
    executable: "bin/bun",
    run: [],
  },
  {
    name: "Deno",
    version: "2.9.6",
    package: `@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}`,
    executable: "deno",
    run: ["run", "--allow-env", "--allow-net"],
  },
];
