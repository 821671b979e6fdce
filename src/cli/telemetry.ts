import type { NodeSDK } from "@opentelemetry/sdk-node";
import { ConfigError } from "../config/problems.ts";
import type { Environment } from "../config/environment.ts";

interface SdkModule {
  NodeSDK: typeof NodeSDK;
}

const sdkPackage = "@opentelemetry/sdk-node";

/**
 * Starts OpenTelemetry if the environment names an OTLP endpoint; the SDK itself reads all other `OTEL_*` variables. Call
 * before a node is created. The result sends what is left and stops it. Throws ConfigError if the SDK is missing.
 */
export async function startTelemetry(
  env: Environment,
  load: () => Promise<SdkModule> = () => import("@opentelemetry/sdk-node"),
): Promise<() => Promise<void>> {
  const variable = endpointVariables.find((name) => (env[name] ?? "") !== "");
  if (variable === undefined || env["OTEL_SDK_DISABLED"]?.toLowerCase() === "true") return async () => undefined;
  const { NodeSDK } = await loadSdk(variable, load);
  const sdk = new NodeSDK(isNamed(env) ? {} : { serviceName: "tidegate" });
  sdk.start();
  return () => sdk.shutdown().catch(() => undefined);
}

const endpointVariables = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

const isNamed = (env: Environment): boolean =>
  (env["OTEL_SERVICE_NAME"] ?? "") !== "" || /(^|,)\s*service\.name=/.test(env["OTEL_RESOURCE_ATTRIBUTES"] ?? "");

async function loadSdk(variable: string, load: () => Promise<SdkModule>): Promise<SdkModule> {
  try {
    return await load();
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    const message = `needs ${sdkPackage}, which cannot be loaded (${reason}); run: npm install ${sdkPackage}`;
    throw new ConfigError([{ name: variable, message }]);
  }
}
