import { styleText } from "node:util";
import type { Config } from "../config.ts";
import { developmentApiKey } from "../config/credentials.ts";

/** Information shown in the banner. */
interface Started {
  url: string;
  /** Which store was taken. */
  store: string;
}

/** What a new user needs first; never shown in production, because it contains a key. */
export function banner(config: Config, { url, store }: Started, isTerminal: boolean): string {
  const strong = (text: string): string => (isTerminal ? styleText("bold", text) : text);
  const key = config.apiKeys[0];
  const isDevelopmentKey = key?.secret === developmentApiKey.secret;
  const lines = [
    strong(`Tidegate is up at ${url}`),
    ...(config.demo ? [`  demo     ${strong(`${url}/demo`)}`] : []),
    `  API      ${url}/docs`,
    ...(config.operators.length > 0 && config.console.address === undefined ? [`  console  ${url}/console`] : []),
    `  API key  ${isDevelopmentKey ? key.secret : `${key?.name}, from API_KEYS`}`,
    `  store    ${store}`,
    "Publish something:",
    `  ${curl(url, isDevelopmentKey ? key.secret : "$API_KEY", config)}`,
  ];
  return (isTerminal ? ["", ...lines, ""] : lines).join("\n");
}

function curl(url: string, key: string, { channels }: Config): string {
  const channel = Object.hasOwn(channels, "chat") ? "chat:lobby" : "user:ada";
  const body = JSON.stringify({ channel, event: "message", data: { text: "Hello from curl" } });
  const headers = `-H "Authorization: Bearer ${key}" -H "Content-Type: application/json"`;
  return `curl -X POST ${url}/v1/publish ${headers} -d '${body}'`;
}
