import { neededNode } from "../runtime/version.ts";

/** What is wrong with a Node of this version, undefined where nothing is: npm only warns of one that is too old. */
export function complaintAbout(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [neededMajor = 0, neededMinor = 0] = neededNode.split(".").map(Number);
  const isNewEnough = major > neededMajor || (major === neededMajor && minor >= neededMinor);
  return isNewEnough ? undefined : `tidegate needs Node ${neededNode} or newer; this is Node ${version}`;
}
