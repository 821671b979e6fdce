import { format } from "prettier";
import { closingTable, errorTable, metricTable } from "./catalogues.ts";
import { commandLine, exitCodeTable } from "./command-line.ts";
import { clientEventTable, clientEvents, eventShapes, serverEventTable, serverEvents } from "./events.ts";
import { httpCalls, httpShapes } from "./http.ts";
import { limitTable, settingSections, settingTable, variableTable } from "./settings.ts";
import type { ApiDescription } from "../../src/http/openapi.ts";

/** What is not in modules: the description that a node serves of its calls. */
export interface Facts {
  api: ApiDescription;
}

/** The generated parts of the docs, by the name in their markers. */
const parts: Readonly<Record<string, (facts: Facts) => string>> = {
  ...Object.fromEntries(settingSections.map((section) => [`settings of ${section}`, () => settingTable(section)])),
  "settings of all limits": limitTable,
  variables: variableTable,
  errors: errorTable,
  closings: closingTable,
  metrics: metricTable,
  commands: commandLine,
  "exit codes": exitCodeTable,
  "client event table": clientEventTable,
  "server event table": serverEventTable,
  "client events": clientEvents,
  "server events": serverEvents,
  "event shapes": eventShapes,
  calls: ({ api }) => httpCalls(api),
  shapes: ({ api }) => httpShapes(api),
};

export const partNames: readonly string[] = Object.keys(parts);

const marked = /<!-- npm run reference: ([\w .]+) -->\n.*?<!-- end of \1 -->/gs;

/** The page with its generated parts as the code has them now, and everything else as it is. */
export async function fillPage(text: string, facts: Facts): Promise<string> {
  if (!text.includes("<!-- npm run reference:")) return text;
  const filled = text.replaceAll(marked, (_part, name: string) => {
    const render = parts[name];
    if (render === undefined) throw new Error(`Nothing is generated under the name "${name}".`);
    return `<!-- npm run reference: ${name} -->\n\n${render(facts)}\n\n<!-- end of ${name} -->`;
  });
  return format(filled, { parser: "markdown", printWidth: 120 });
}
