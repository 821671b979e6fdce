/** HTML that is safe to insert into a page. */
export class Markup {
  readonly html: string;

  constructor(html: string) {
    this.html = html;
  }
}

type Part = string | number | Markup | readonly Markup[];

/** Template tag that escapes every value except `Markup`. */
export function markup(strings: TemplateStringsArray, ...parts: Part[]): Markup {
  return new Markup(String.raw({ raw: strings }, ...parts.map(toHtml)));
}

function toHtml(part: Part): string {
  if (part instanceof Markup) return part.html;
  if (typeof part === "string" || typeof part === "number") return escape(String(part));
  return part.map(({ html }) => html).join("");
}

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => entities[character] as string);

/** A table whose first column contains row headers. */
export function table(heads: readonly string[], rows: readonly (readonly Part[])[]): Markup {
  const head = heads.map((text) => markup`<th scope="col">${text}</th>`);
  const body = rows.map(([name = "", ...cells]) => {
    const rest = cells.map((cell) =>
      isProse(cell) ? markup`<td class="prose">${cell}</td>` : markup`<td>${cell}</td>`,
    );
    return markup`<tr><th scope="row">${name}</th>${rest}</tr>`;
  });
  return markup`<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

/** Numbers stay on one line; longer texts may wrap. */
const isProse = (cell: Part): boolean => typeof cell === "string" && cell.length > 18;
