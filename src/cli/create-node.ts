import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { Config } from "../config.ts";
import { ConfigError } from "../config/problems.ts";
import { createAppNode, type Gateway } from "../embedding.ts";
import { createNode, type GatewayNode, type NodeOptions } from "../gateway.ts";

type App = (gateway: Gateway) => unknown;

/** Creates a node, and lets the configured app add its handlers before any connection is accepted. */
export async function createConfiguredNode(config: Config, options: Omit<NodeOptions, "app">): Promise<GatewayNode> {
  if (config.appFile === undefined) return createNode(config, options);
  const app = await loadApp(config.appFile);
  const { node, gateway } = await createAppNode(config, options);
  try {
    await app(gateway);
  } catch (error) {
    // With the stack, because it names the line of the app.
    const reason = error instanceof Error ? error.stack : String(error);
    throw new Error(`${config.appFile} failed: ${reason}`, { cause: error });
  }
  return node;
}

/** Throws ConfigError if the file is no module with a function as its default export. */
async function loadApp(file: string): Promise<App> {
  const { default: app } = await importModule(file);
  if (typeof app === "function") return app as App;
  throw new ConfigError([{ name: "APP_FILE", message: `${file} must have a function as its default export` }]);
}

async function importModule(file: string): Promise<{ default?: unknown }> {
  try {
    return (await import(pathToFileURL(resolve(file)).href)) as { default?: unknown };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError([{ name: "APP_FILE", message: `${file} cannot be loaded: ${reason}` }]);
  }
}
