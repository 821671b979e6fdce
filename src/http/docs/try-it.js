import { element } from "./elements.js";
import { resolve } from "./schemas.js";

/** A form that sends one call from this page and shows the answer. `keyOf` reads the API key typed in above. */
export function tryIt(api, { method, path, operation }, keyOf) {
  const inputs = (operation.parameters ?? []).map((parameter) => toInput(api, operation, parameter));
  const body = bodyInput(operation);
  const answer = element("pre", { role: "status", hidden: true });
  const callOf = () => toCall(method, path, inputs, body, operation.security?.length === 0 ? "" : keyOf());
  const copy = element("button", { type: "button", onclick: () => show(answer, toCurl(callOf())) }, "Show as curl");
  const form = element("form", {}, inputs.map(labelled), body && labelled(body), button("Send"), copy, answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send(callOf(), answer);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  return form;
}

const button = (text) => element("button", { type: "submit", title: "Ctrl+Enter" }, text);

function toInput(api, operation, given) {
  const parameter = resolve(api, given);
  const [example] = resolve(api, parameter.schema)?.examples ?? [];
  const field = element("input", {
    id: `${operation.operationId}-${parameter.in}-${parameter.name}`,
    required: parameter.required === true,
    value: parameter.required === true ? (example ?? "") : "",
    autocomplete: "off",
    spellcheck: false,
  });
  return { place: parameter.in, name: parameter.name, field };
}

function bodyInput(operation) {
  const content = operation.requestBody?.content?.["application/json"];
  if (content === undefined) return undefined;
  const value = JSON.stringify(content.example, null, 2);
  const field = element("textarea", { id: `${operation.operationId}-body`, value, spellcheck: false });
  return { place: "body", name: "body", field };
}

function labelled({ place, name, field }) {
  const optional = field.required || place === "body" ? "" : ", optional";
  return [element("label", { htmlFor: field.id }, place === "body" ? "Body" : `${name} (${place}${optional})`), field];
}

function toCall(method, path, inputs, body, key) {
  const filled = inputs.filter(({ field }) => field.value !== "");
  const query = new URLSearchParams(filled.filter(isIn("query")).map(({ name, field }) => [name, field.value]));
  const target = filled
    .filter(isIn("path"))
    .reduce((whole, { name, field }) => whole.replace(`{${name}}`, encodeURIComponent(field.value)), path);
  const headers = Object.fromEntries(filled.filter(isIn("header")).map(({ name, field }) => [name, field.value]));
  if (key !== "") headers.Authorization = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const url = query.size === 0 ? target : `${target}?${query}`;
  return { method: method.toUpperCase(), url, headers, body: body?.field.value };
}

const isIn = (place) => (input) => input.place === place;

/** Fields of an answer that say something about the call. */
const toldFields = ["retry-after", "ratelimit", "ratelimit-policy", "allow", "content-type"];

async function send({ url, ...call }, answer) {
  show(answer, "…");
  const begun = performance.now();
  try {
    const response = await fetch(url, { ...call, cache: "no-store" });
    const text = await response.text();
    const took = Math.round(performance.now() - begun);
    const fields = toldFields.filter((name) => response.headers.has(name));
    const lines = fields.map((name) => `${name}: ${response.headers.get(name)}`);
    show(answer, [`${response.status} ${response.statusText} in ${took} ms`, ...lines, "", pretty(text)].join("\n"));
  } catch (error) {
    show(answer, `Not sent: ${error.message}`);
  }
}

/** The key is left out: what is shown may be copied into a chat. */
function toCurl({ method, url, headers, body }) {
  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const lines = [`curl -X ${method} ${quoted(new URL(url, location.href).href)}`];
  if (headers.Authorization !== undefined) lines.push('-H "Authorization: Bearer $API_KEY"');
  for (const [name, value] of Object.entries(headers)) {
    if (name !== "Authorization") lines.push(`-H ${quoted(`${name}: ${value}`)}`);
  }
  if (body !== undefined) lines.push(`-d ${quoted(body)}`);
  return lines.join(" \\\n  ");
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Not JSON, such as metrics: shown as it came.
    return text;
  }
}

function show(answer, text) {
  answer.hidden = false;
  answer.textContent = text;
}
