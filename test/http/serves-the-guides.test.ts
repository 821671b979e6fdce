import { globSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { guideGroups } from "../../src/http/guides.ts";
import { repository } from "../support/source-tree.ts";
import { startHttp } from "./support.ts";

const names = Object.values(guideGroups).flat();
const path = (name: string): string => (name === "readme" ? "/docs/guides/" : `/docs/guides/${name}`);

describe("/docs/guides/", () => {
  it("has every page of docs/ once", () => {
    const pages = globSync("docs/*.md", { cwd: join(repository) }).map((file) => basename(file, ".md"));

    expect(names.toSorted()).toEqual([...pages, "readme"].toSorted());
  });

  it("leads nowhere that is not there, and has the whole text", async () => {
    const { call } = await startHttp();
    const pages = new Map<string, string>();
    for (const name of names) {
      const answer = await call(path(name), { headers: { authorization: "" } });
      expect(answer.status).toBe(200);
      pages.set(path(name), answer.text);
    }

    const wrong: string[] = [];
    for (const [from, html] of pages)
      for (const [, href = ""] of html.matchAll(/href="(?!https?:)([^"]+)"/g)) {
        const { pathname, hash } = new URL(href, `http://host${from}`);
        const page = pages.get(pathname);
        const isThere = page !== undefined && (hash === "" || page.includes(`id="${hash.slice(1)}"`));
        if (!isThere && !/^\/docs(\/(page|guide)\.css)?$|^data:/.test(href)) wrong.push(`${from} → ${href}`);
      }
    expect(wrong).toEqual([]);
    expect(pages.get("/docs/guides/")).toContain('<h1 id="tidegate">');
    expect(pages.get("/docs/guides/settings")).toContain("<code>REDIS_URL</code>");
  });

  it("is searched by an index of all sections", async () => {
    const { call } = await startHttp();
    const sections = (await call("/docs/guides/search.json")).json as { href: string; title: string; text: string }[];

    expect(sections.length).toBeGreaterThan(200);
    const found = sections.filter(({ text }) => text.includes("idleSeconds"));
    expect(found.map(({ href }) => href)).toContain("/docs/guides/signing-in#sessions");
  });

  it("answers other names with 404", async () => {
    const { call } = await startHttp();
    for (const name of ["nothing", "..%2fpackage.json", "settings.md"])
      expect((await call(`/docs/guides/${name}`)).status).toBe(404);
  });
});
