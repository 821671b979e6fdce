import { readFileSync } from "node:fs";
import type { Express } from "express";
import { onlyGet } from "./only-methods.ts";

/** Files of the page other than its HTML, with their types. */
const files = {
  "page.css": "text/css",
  "page.js": "text/javascript",
  "elements.js": "text/javascript",
  "schemas.js": "text/javascript",
  "try-it.js": "text/javascript",
} as const;

/**
 * The API's description, for programs at `/openapi.json` and for people at `/docs`. The page is a few small files of
 * ours that draw what `/openapi.json` says; nothing is loaded from elsewhere.
 */
export function mountDocs(app: Express, openapi: string): void {
  serveText(app, "/openapi.json", "application/json", openapi);
  serveText(app, "/docs", "text/html", docsFile("page.html"));
  for (const [name, type] of Object.entries(files)) serveText(app, `/docs/${name}`, type, docsFile(name));
}

const docsFile = (name: string): string => readFileSync(new URL(`./docs/${name}`, import.meta.url), "utf8");

/** Express adds the ETag and answers 304 to it. */
function serveText(app: Express, path: string, type: string, text: string): void {
  onlyGet(app, path, (_request, response) => void response.type(type).set("Cache-Control", "no-cache").send(text));
}
