import type { Config } from "../config.ts";
import { ConfigError } from "../config/problems.ts";
import { createAppNode, type Gateway } from "../embedding.ts";
import { createNode, type GatewayNode, type NodeOptions } from "../gateway.ts";
import { parseContract, type Contract } from "../protocol/contract/contract.ts";
import { importDefault } from "./import-default.ts";

type App = (gateway: Gateway) => unknown;

/** Creates a node, and lets the configured app add its handlers before any connection is accepted. */
export async function createConfiguredNode(
  config: Config,
  given: Omit<NodeOptions, "app" | "contract">,
): Promise<GatewayNode> {
  const contract = config.contractFile === undefined ? undefined : await loadNodeContract(config.contractFile);
  const options = { ...given, contract };
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
  const app = await loadAs("APP_FILE", file, importDefault);
  if (typeof app === "function") return app as App;
  throw new ConfigError([{ name: "APP_FILE", message: `${file} must have a function as its default export` }]);
}

/** Throws ConfigError if the file is no module with a contract as its default export. */
const loadNodeContract = (file: string): Promise<Contract> =>
  loadAs("CONTRACT_FILE", file, async () => parseContract(await importDefault(file)));

async function loadAs<T>(variable: string, file: string, load: (file: string) => Promise<T>): Promise<T> {
  try {
    return await load(file);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError([{ name: variable, message: `${file} cannot be loaded: ${reason}` }]);
  }
}
