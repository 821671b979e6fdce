import { z } from "zod";
import { clientEvents as ofClients } from "../../src/protocol/client-events.ts";
import { serverEvents as ofServer } from "../../src/protocol/server-events.ts";
import { formTables, shapeSections, shapeText, type JsonSchema } from "./schema-text.ts";
import { code, table } from "./table.ts";

type Definitions = Record<string, JsonSchema>;

function jsonOf(schema: z.ZodType, io: "input" | "output" = "output"): JsonSchema & { $defs?: Definitions } {
  return z.toJSONSchema(schema, { io }) as JsonSchema & { $defs?: Definitions };
}

/** The shapes that several events share, described once. */
function sharedShapes(): Definitions {
  const requests = Object.values(ofClients).map(({ request }) => jsonOf(request, "input"));
  const answers = Object.values(ofClients).flatMap(({ answers: forms }) => forms.map((form) => jsonOf(form)));
  const payloads = Object.values(ofServer).map(({ payload }) => jsonOf(payload));
  return Object.assign({}, ...[...requests, ...answers, ...payloads].map(({ $defs }) => $defs ?? {})) as Definitions;
}

const shared = sharedShapes();
const resolve = (ref: string): JsonSchema => shared[ref.slice(ref.lastIndexOf("/") + 1)] ?? {};

/** In one line: all forms that a value may have. */
function shapesOf(schema: JsonSchema): string {
  const whole = schema.$ref === undefined ? schema : resolve(schema.$ref);
  const forms = whole.anyOf ?? whole.oneOf;
  return forms === undefined ? code(shapeText(whole)) : forms.map(shapesOf).join(" or ");
}

export const clientEventTable = (): string =>
  table(
    ["event", "argument", "answer", ""],
    Object.entries(ofClients).map(([name, { summary, request, answers }]) => [
      `[${code(name)}](events.md#${anchorOf(name)})`,
      shapesOf(jsonOf(request, "input")),
      answers.map((answer) => shapesOf(jsonOf(answer))).join(" or "),
      summary,
    ]),
  );

export const serverEventTable = (): string =>
  table(
    ["event", "argument", ""],
    Object.entries(ofServer).map(([name, { summary, payload }]) => [
      `[${code(name)}](events.md#${anchorOf(titleOf(name))})`,
      shapesOf(jsonOf(payload)),
      summary,
    ]),
  );

/** As headings are linked to. */
const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");

/** Some names are an event of both sides. */
const titleOf = (name: string): string => (name in ofClients ? `${name} from the server` : name);

export const clientEvents = (): string =>
  Object.entries(ofClients)
    .map(([name, { summary, request, answers }]) => {
      const forms = answers.map((answer) => formTables(jsonOf(answer), resolve)).join("\n\nor\n\n");
      return [
        `### ${name}`,
        summary,
        "**Argument**",
        formTables(jsonOf(request, "input"), resolve),
        "**Answer**",
        forms,
      ];
    })
    .flat()
    .join("\n\n");

export const serverEvents = (): string =>
  Object.entries(ofServer)
    .flatMap(([name, { summary, payload }]) => [`### ${titleOf(name)}`, summary, formTables(jsonOf(payload), resolve)])
    .join("\n\n");

export const eventShapes = (): string => shapeSections(shared);
