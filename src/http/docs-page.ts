import { readFileSync } from "node:fs";
import type { Express } from "express";
import { onlyGet } from "./only-methods.ts";

/** Files of the pages other than their HTML, with their types. */
const files = {
  "page.css": "text/css",
  "guide.css": "text/css",
  "page.js": "text/javascript",
  "search.js": "text/javascript",
  "elements.js": "text/javascript",
  "events.js": "text/javascript",
  "schemas.js": "text/javascript",
  "try-it.js": "text/javascript",
} as const;

/** Describe the HTTP API and the events. Called at the first request, because most nodes are never asked. */
export interface Descriptions {
  openapi: () => object;
  asyncapi: () => object;
}

/**
 * The descriptions, for programs at `/openapi.json` and `/asyncapi.json`, and for people at `/docs`. The page is a few
 * small files of ours that draw what they say; nothing is loaded from elsewhere.
 */
export function mountDocs(app: Express, { openapi, asyncapi }: Descriptions): void {
  serveText(app, "/openapi.json", "application/json", () => JSON.stringify(openapi()));
  serveText(app, "/asyncapi.json", "application/json", () => JSON.stringify(asyncapi()));
  serveText(app, "/docs", "text/html", () => docsFile("page.html"));
  for (const [name, type] of Object.entries(files)) serveText(app, `/docs/${name}`, type, () => docsFile(name));
}

const docsFile = (name: string): string => readFileSync(new URL(`./docs/${name}`, import.meta.url), "utf8");

/** Makes the text at the first request. Express adds the ETag and answers 304 to it. */
function serveText(app: Express, path: string, type: string, make: () => string): void {
  let text: string | undefined;
  onlyGet(app, path, (_request, response) => {
    text ??= make();
    response.type(type).set("Cache-Control", "no-cache").send(text);
  });
}
