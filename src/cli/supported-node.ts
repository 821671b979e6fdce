import { neededNode } from "../runtime/version.ts";

/** An error message if this Node version is not supported, else undefined: npm only warns. */
export function unsupportedNodeMessage(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [neededMajor = 0, neededMinor = 0] = neededNode.split(".").map(Number);
  const isNewEnough = major > neededMajor || (major === neededMajor && minor >= neededMinor);
  return isNewEnough ? undefined : `tidegate needs Node ${neededNode} or newer; this is Node ${version}`;
}
