/** The search of the guides, and on the page of the API of its calls and events: what contains all words, with one in the title first. */

const input = document.querySelector("#search");
const found = document.querySelector("#found");
const most = 12;
let sections;

input.form.addEventListener("submit", (event) => event.preventDefault());
input.addEventListener("input", () => void search(input.value));
document.addEventListener("keydown", ({ key, target }) => {
  if (key === "Escape") show([]);
  if (key === "/" && !/INPUT|TEXTAREA/.test(target.tagName)) setTimeout(() => input.focus());
});

async function search(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return show([]);
  sections ??= [...callsHere(), ...(await guideSections())];
  if (input.value !== text) return;
  const hits = sections.filter(({ title, text }) =>
    words.every((word) => `${title} ${text}`.toLowerCase().includes(word)),
  );
  const inTitle = ({ title }) => words.filter((word) => title.toLowerCase().includes(word)).length;
  show(hits.toSorted((a, b) => inTitle(b) - inTitle(a)).slice(0, most), text);
}

/** An installation without the guides finds only what is on this page. */
async function guideSections() {
  const response = await fetch("/docs/guides/search.json");
  return response.ok ? response.json() : [];
}

function callsHere() {
  return [...document.querySelectorAll("details.call")].map(({ id, firstElementChild }) => {
    const [method, path, text] = [...firstElementChild.children].map(({ textContent }) => textContent);
    const verb = path.startsWith("/") ? method.toUpperCase() : method;
    return { href: `#${id}`, title: `${verb} ${path}`, guide: text, text };
  });
}

function show(hits, text = "") {
  found.hidden = text === "";
  found.replaceChildren(
    ...(hits.length > 0
      ? hits.map(entry)
      : [Object.assign(document.createElement("li"), { textContent: `Nothing about “${text}”.` })]),
  );
}

function entry({ href, title, guide }) {
  const link = Object.assign(document.createElement("a"), { href, textContent: title });
  const where = Object.assign(document.createElement("small"), { textContent: guide });
  const item = document.createElement("li");
  item.append(link, where);
  return item;
}
