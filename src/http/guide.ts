import { Marked, type Tokens } from "marked";

/** A part of a guide below one heading, for the search. */
export interface GuideSection {
  href: string;
  title: string;
  guide: string;
  text: string;
}

export interface Guide {
  name: string;
  /** As HTML. */
  title: string;
  html: string;
  sections: GuideSection[];
}

/** Pure. `name` is the page's file name without `.md`, or `readme`. */
export function renderGuide(name: string, markdown: string): Guide {
  const ids = new Set<string>();
  const sections: GuideSection[] = [];
  const marked = new Marked({
    gfm: true,
    renderer: {
      heading({ tokens, depth }: Tokens.Heading): string {
        const id = uniqueId(plain(tokens), ids);
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      link({ href, tokens }: Tokens.Link): string {
        const target = targetOf(href);
        const words = this.parser.parseInline(tokens);
        return target === undefined ? words : `<a href="${escape(target)}">${words}</a>`;
      },
      image({ href, text }: Tokens.Image): string {
        return `<img src="${escape(href.replace(/^(docs\/)?images\//, "/docs/images/"))}" alt="${escape(text)}" />`;
      },
      code({ text, lang = "" }: Tokens.Code): string {
        const [language = ""] = lang.split(" ");
        const kind = language === "" ? "" : ` class="language-${escape(language)}"`;
        return `<pre tabindex="0"><code${kind}>${escape(text)}\n</code></pre>\n`;
      },
      table(token: Tokens.Table): string {
        const cellOf = ({ tokens: content }: Tokens.TableCell, kind: string): string => {
          // A column without a title.
          const tag = content.length === 0 ? "td" : kind;
          return `<${tag}>${this.parser.parseInline(content)}</${tag}>`;
        };
        const row = (cells: readonly Tokens.TableCell[], kind: string): string =>
          `<tr>${cells.map((cell) => cellOf(cell, kind)).join("")}</tr>`;
        const body = token.rows.map((cells) => row(cells, "td")).join("");
        return `<div class="table" tabindex="0"><table><thead>${row(token.header, "th")}</thead><tbody>${body}</tbody></table></div>\n`;
      },
    },
  });
  const tokens = marked.lexer(markdown);
  const html = marked.parser(tokens);
  const headings = [...ids].values();
  const title = escape(plain(tokens.find((token): token is Tokens.Heading => token.type === "heading")?.tokens ?? []));
  const at = name === "readme" ? "/docs/guides/" : `/docs/guides/${name}`;
  for (const token of tokens) {
    if (token.type === "heading")
      sections.push({
        href: `${at}#${headings.next().value ?? ""}`,
        title: plain(token.tokens ?? []),
        guide: title,
        text: "",
      });
    else if (sections.length > 0 && token.type !== "html")
      (sections.at(-1) as GuideSection).text += `${token.raw.replaceAll(/[|`*\s-]+/g, " ")} `;
  }
  return { name, title, html, sections };
}

/** Undefined for files of the repository, which are not served. */
function targetOf(href: string): string | undefined {
  if (/^(https?:|#)/.test(href)) return href;
  const [, page = "", anchor = ""] = /^(?:\.\.\/|docs\/)?([\w-]+)\.md(#[\w-]*)?$/.exec(href) ?? [];
  if (page === "README") return `/docs/guides/${anchor}`;
  return page === "" || page !== page.toLowerCase() ? undefined : `/docs/guides/${page}${anchor}`;
}

/** As GitHub does it, so that links in the repository and here are the same. */
function uniqueId(title: string, ids: Set<string>): string {
  const base = title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
  let id = base;
  for (let n = 1; ids.has(id); n++) id = `${base}-${n}`;
  ids.add(id);
  return id;
}

function plain(tokens: readonly { type: string; raw: string; text?: string; tokens?: unknown }[]): string {
  return tokens
    .map((token) =>
      Array.isArray(token.tokens) ? plain(token.tokens as Parameters<typeof plain>[0]) : (token.text ?? token.raw),
    )
    .join("");
}

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
