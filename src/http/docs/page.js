import { element, prose, table } from "./elements.js";
import { groupsOf, toEventDetails, toEventLink } from "./events.js";
import { fieldsOf, resolve, typeOf } from "./schemas.js";
import { tryIt } from "./try-it.js";

const byId = (id) => document.getElementById(id);
const keyOf = () => byId("key").value.trim();

function callsOf(api) {
  return Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method, operation })),
  );
}

function draw(api, events) {
  byId("version").textContent = api.info.version;
  byId("about").append(...prose(api.info.description));
  const byTag = Map.groupBy(callsOf(api), ({ operation }) => operation.tags?.[0] ?? "Other");
  section({ id: "http", title: "HTTP calls" });
  for (const [tag, calls] of byTag)
    group(tag, { links: calls.map(toLink), details: calls.map((call) => toDetails(api, call)) });
  section({ id: "events", title: "Socket.IO events" });
  for (const [title, members] of groupsOf(events))
    group(title, {
      links: members.map(toEventLink),
      details: members.map((event) => toEventDetails(events, event)),
    });
  byId("contents").append(element("h2", {}, element("a", { href: "#errors" }, "Error codes")));
  byId("calls").append(...errorsOf(api));
}

function section({ id, title }) {
  byId("calls").append(element("h2", { id, className: "part" }, title));
}

function group(title, { links, details }) {
  byId("contents").append(element("h2", {}, title), element("ul", {}, links));
  byId("calls").append(element("h3", { className: "group" }, title), ...details);
}

function toLink({ operation }) {
  return element("li", {}, element("a", { href: `#${operation.operationId}` }, operation.summary.replace(/\.$/, "")));
}

function toDetails(api, call) {
  const { method, path, operation } = call;
  const summary = element(
    "summary",
    {},
    element("span", { className: `method ${method}` }, method),
    element("span", { className: "path" }, path),
    element("span", { className: "quiet" }, operation.summary),
  );
  const details = element("details", { className: "call", id: operation.operationId }, summary);
  // Drawn on first opening: most of the page is never looked at.
  details.addEventListener("toggle", () => details.append(toBody(api, call)), { once: true });
  return details;
}

function toBody(api, call) {
  const { parameters = [], requestBody, responses, description } = call.operation;
  const schema = requestBody?.content?.["application/json"]?.schema;
  return element(
    "div",
    {},
    description && element("p", {}, prose(description)),
    parameters.length > 0 ? [element("h3", {}, "Parameters"), parameterTable(api, parameters)] : [],
    schema ? [element("h3", {}, "Body"), fieldTable(api, schema)] : [],
    element("h3", {}, "Answers"),
    Object.entries(responses).map(([status, response]) => toAnswer(api, status, resolve(api, response))),
    element("h3", {}, "Try it"),
    tryIt(api, call, keyOf),
  );
}

function parameterTable(api, parameters) {
  const rows = parameters.map((given) => {
    const { name, in: place, required, schema, description } = resolve(api, given);
    const need = `${place}${required ? ", required" : ""}`;
    return { cells: [element("code", {}, name), need, typeOf(api, schema), prose(description)] };
  });
  return table(["Name", "Where", "Type", ""], rows.map(spread));
}

function fieldTable(api, schema) {
  const rows = fieldsOf(api, schema).map(({ path, type, isRequired, text }) => ({
    cells: [element("code", {}, path), type, isRequired ? "required" : "", prose(text)],
  }));
  return table(["Field", "Type", "", ""], rows.map(spread));
}

/** A cell may hold several nodes. */
const spread = ({ id, cells }) => ({ id, cells: cells.map((cell) => element("span", {}, cell)) });

function toAnswer(api, status, { description, content }) {
  const schema = content?.["application/json"]?.schema;
  const line = element("p", {}, element("strong", {}, status), " ", prose(description));
  return schema ? [line, fieldTable(api, schema)] : [line];
}

/** Each row is what the `type` of a problem points to: `/docs#rate_limited`. */
function errorsOf(api) {
  const { ErrorCode } = api.components.schemas;
  const codes = Object.entries(api.components.responses).filter(([name]) => ErrorCode.enum.includes(name));
  const rows = codes.map(([code, { description }]) => ({
    id: code,
    cells: [element("code", {}, code), prose(description.replace(/^`\w+`: /, ""))],
  }));
  return [
    element("h2", { id: "errors", className: "part" }, "Error codes"),
    table(["Code", "Meaning"], rows.map(spread)),
  ];
}

/** Opens and shows what the address names. */
function follow() {
  const target = byId(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}

byId("key-form").addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", follow);
try {
  const descriptions = ["/openapi.json", "/asyncapi.json"].map(async (path) => (await fetch(path)).json());
  draw(...(await Promise.all(descriptions)));
  follow();
} catch (error) {
  byId("calls").append(element("p", {}, `Loading the descriptions failed: ${error.message}`));
}
