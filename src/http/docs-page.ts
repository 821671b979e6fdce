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

/** Descriptions of the HTTP API and of the events, as JSON. */
export interface Descriptions {
  openapi: string;
  asyncapi: string;
}

/**
 * The descriptions, for programs at `/openapi.json` and `/asyncapi.json`, and for people at `/docs`. The page is a few
 * small files of ours that draw what they say; nothing is loaded from elsewhere.
 */
export function mountDocs(app: Express, { openapi, asyncapi }: Descriptions): void {
  serveText(app, "/openapi.json", "application/json", openapi);
  serveText(app, "/asyncapi.json", "application/json", asyncapi);
  serveText(app, "/docs", "text/html", docsFile("page.html"));
  for (const [name, type] of Object.entries(files)) serveText(app, `/docs/${name}`, type, docsFile(name));
}

const docsFile = (name: string): string => readFileSync(new URL(`./docs/${name}`, import.meta.url), "utf8");

/** Express adds the ETag and answers 304 to it. */
function serveText(app: Express, path: string, type: string, text: string): void {
  onlyGet(app, path, (_request, response) => void response.type(type).set("Cache-Control", "no-cache").send(text));
}
