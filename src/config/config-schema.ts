import { z } from "zod";
import { kindDefaults } from "../channels/kinds.ts";
import { consumerDefaults } from "../commands/stream-consumer.ts";
import { boardDefaults } from "../leaderboards/boards.ts";
import { orderDefaults } from "../orders/order-options.ts";
import { limitDefaults } from "../throttling/policies.ts";
import { endpointDefaults } from "../webhooks/endpoints.ts";
import { configFile } from "./file-schema.ts";
import { descriptionOf } from "./setting-descriptions.ts";

/** A part of the file's JSON Schema. */
type SettingSchema = z.core.JSONSchema.JSONSchema;

export interface Setting {
  /** `channels.*.history.size`: `*` for any name, `[]` for any entry. */
  path: string;
  schema: SettingSchema;
  isRequired: boolean;
}

/** The file as JSON Schema, for editors and deployment tools. What only code can check is not part of it. */
export function configSchema(): SettingSchema {
  const schema = { title: "Configuration of Tidegate", ...z.toJSONSchema(configFile, { io: "input" }) };
  for (const { path, schema: part } of settingsIn(schema)) {
    const description = descriptionOf(path);
    if (description !== undefined) part.description = description.replaceAll(/\[([^\]]+)\]\([^)]+\)/g, "$1");
    const known = part.default ?? defaultOf(path);
    if (known !== undefined) part.default = known;
  }
  return schema;
}

/** Every setting, also those that contain others. */
export function settingsIn(part: SettingSchema, path = "", isRequired = false): Setting[] {
  const own = path === "" ? [] : [{ path, schema: part, isRequired }];
  const { properties, additionalProperties, items, required = [] } = part;
  if (properties !== undefined)
    return Object.entries(properties).reduce<Setting[]>(
      (all, [name, inner]) => [...all, ...within(inner, `${path}.${name}`.replace(/^\./, ""), required.includes(name))],
      own,
    );
  return [...own, ...within(additionalProperties, `${path}.*`), ...within(items, `${path}[]`)];
}

/** What is no object has no settings within. */
function within(part: unknown, path: string, isRequired = false): Setting[] {
  if (typeof part !== "object" || part === null) return [];
  const isEntry = /(?:\*|\[\])$/.test(path);
  const settings = settingsIn(part as SettingSchema, path, isRequired);
  return isEntry ? settings.slice(1) : settings;
}

/** Of settings that the file leaves to the code that uses them. */
const defaults: Readonly<Record<string, object>> = {
  "channels.*": kindDefaults,
  "leaderboards.*": boardDefaults,
  orders: orderDefaults,
  commands: consumerDefaults,
  "webhooks[]": endpointDefaults,
  "limits.messages.closeAfter": limitDefaults.closeAfter,
  "limits.messages.portion": limitDefaults.portion,
  "limits.bytes.portion": limitDefaults.portion,
  "limits.ephemeral.portion": limitDefaults.portion,
  "limits.handshakes.portion": limitDefaults.portion,
};

function defaultOf(path: string): unknown {
  const owner = Object.keys(defaults).find((prefix) => path.startsWith(`${prefix}.`));
  if (owner === undefined) return undefined;
  const value: unknown = (Object(defaults[owner]) as Record<string, unknown>)[path.slice(owner.length + 1)];
  return typeof value === "object" && !Array.isArray(value) ? undefined : value;
}
