import { readFileSync } from "node:fs";

const { version, engines } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
  engines: { node: string };
};

/** Of the program, as its package says. */
export { version };

/** The oldest Node that runs it, likewise. */
export const neededNode = engines.node.replace(">=", "");

/** An error message if this Node version is not supported, else undefined: npm only warns. */
export function unsupportedNodeMessage(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [neededMajor = 0, neededMinor = 0] = neededNode.split(".").map(Number);
  const isNewEnough = major > neededMajor || (major === neededMajor && minor >= neededMinor);
  return isNewEnough ? undefined : `tidegate needs Node ${neededNode} or newer; this is Node ${version}`;
}
