import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import express, { type Express } from "express";
import { type Guide, renderGuide } from "./guide.ts";
import { GatewayError } from "../protocol/errors.ts";
import { onlyGet } from "./only-methods.ts";

const root = new URL("../../", import.meta.url);
const path = "/docs/guides";

/** The guides in reading order; each is a page of `docs/`, and the first one the README. */
export const guideGroups: Readonly<Record<string, readonly string[]>> = {
  Start: ["readme", "first-hour", "app", "embedding", "signing-in", "migrating", "comparison"],
  Guides: [
    "client",
    "clients-other-languages",
    "backends",
    "streams",
    "token-streams",
    "contract",
    "presence",
    "state",
    "orders",
    "leaderboards",
    "notifications",
    "mobile",
  ],
  Concepts: [
    "protocol",
    "limits",
    "slow-readers",
    "caching",
    "users",
    "webhooks",
    "stock-servers",
    "testing",
    "design",
  ],
  Reference: ["settings", "events", "http", "errors", "metrics", "command-line"],
  Operate: [
    "scaling",
    "redis-providers",
    "compatibility",
    "upgrading",
    "rotating-secrets",
    "failures",
    "troubleshooting",
    "console",
    "loadtest",
  ],
};

/**
 * The project's documentation as pages, at `/docs/guides/`, with a search. Rendered at the first request; an installation
 * without the folder `docs` does not have them.
 */
export function mountGuides(app: Express): void {
  if (!existsSync(new URL("docs/", root))) return;
  const guides = new Map<string, Guide>();
  const guide = (name: string): Guide => {
    const known = guides.get(name) ?? renderGuide(name, readFileSync(fileOf(name), "utf8"));
    guides.set(name, known);
    return known;
  };
  for (const name of names())
    onlyGet(app, name === "readme" ? `${path}/` : `${path}/${name}`, (_request, response) => {
      response
        .type("html")
        .set("Cache-Control", "no-cache")
        .send(pageOf(guide(name), guide));
    });
  onlyGet(app, `${path}/search.json`, (_request, response) => {
    response.set("Cache-Control", "no-cache").json(names().flatMap((name) => guide(name).sections));
  });
  app.use("/docs/images", express.static(fileURLToPath(new URL("docs/images", root)), { dotfiles: "ignore" }));
  app.use(path, (_request, _response, next) => next(new GatewayError("not_found", "There is no guide of this name.")));
}

const names = (): string[] => Object.values(guideGroups).flat();

const fileOf = (name: string): URL => new URL(name === "readme" ? "README.md" : `docs/${name}.md`, root);

function pageOf({ name, title, html }: Guide, guide: (name: string) => Guide): string {
  return page({
    title: title === "Tidegate" ? title : `${title} · Tidegate`,
    contents: Object.entries(guideGroups)
      .map(
        ([group, members]) =>
          `<h2>${group}</h2><ul>${members.map((each) => item(guide(each), each === name)).join("")}</ul>`,
      )
      .join(""),
    html,
  });
}

function item({ name, title }: Guide, isCurrent: boolean): string {
  const href = name === "readme" ? `${path}/` : `${path}/${name}`;
  return `<li><a href="${href}"${isCurrent ? ' aria-current="page"' : ""}>${title}</a></li>`;
}

const page = ({ title, contents, html }: Record<"title" | "contents" | "html", string>): string =>
  template()
    .replace("{title}", () => title)
    .replace("{contents}", () => contents)
    .replace("{html}", () => html);

let text: string | undefined;
const template = (): string => (text ??= readFileSync(new URL("./docs/guide.html", import.meta.url), "utf8"));
