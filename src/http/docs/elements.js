/** Makes an element. Text is always set as text: nothing of the description or an answer becomes markup. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== undefined));
  return made;
}

/** Text in which `…` stands for code. */
export function prose(text = "") {
  return text.split("`").map((part, index) => (index % 2 === 0 ? part : element("code", {}, part)));
}

export function table(heads, rows) {
  const cells = (names, kind) => names.map((cell) => element(cell === "" ? "td" : kind, {}, cell));
  return element(
    "div",
    { className: "scroll", tabIndex: 0 },
    element(
      "table",
      {},
      element("thead", {}, element("tr", {}, cells(heads, "th"))),
      element(
        "tbody",
        {},
        rows.map(({ id, cells: row }) => element("tr", id === undefined ? {} : { id }, cells(row, "td"))),
      ),
    ),
  );
}
