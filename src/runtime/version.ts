import { readFileSync } from "node:fs";

const { version, engines } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
  engines: { node: string };
};

/** Of the program, as its package says. */
export { version };

/** The oldest Node that runs it, likewise. */
export const neededNode = engines.node.replace(">=", "");
