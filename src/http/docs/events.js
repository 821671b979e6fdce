import { element, prose, table } from "./elements.js";
import { fieldsOf, resolve, typeOf } from "./schemas.js";

/** The operations of the description in groups, by who sends them. */
export function groupsOf(events) {
  const operations = Object.entries(events.operations).map(([key, operation]) => toEvent(events, key, operation));
  const of = (action, matches) => operations.filter((one) => one.action === action && matches(one.channel));
  const isSocket = ({ address }) => address === "/socket.io/";
  const isNamespace = ({ address }) => address.startsWith("/socket.io/ (");
  const isKind = ({ title }) => title.startsWith("Channels of kind");
  const groups = [
    ["Events of clients", of("receive", isSocket)],
    ["Events of other namespaces", of("receive", isNamespace)],
    ["Events of the gateway", of("send", isSocket)],
    ["Publications of the contract", of("send", isKind)],
    ["State, orders and scores of the contract", of("send", (channel) => !isSocket(channel) && !isKind(channel))],
  ];
  return groups.filter(([, members]) => members.length > 0);
}

function toEvent(events, key, { action, summary, channel, messages, reply }) {
  const messagesOf = (list) => list.map((message) => resolve(events, message));
  return {
    id: `event-${key}`,
    action,
    summary,
    channel: resolve(events, channel),
    message: messagesOf(messages)[0],
    answers: messagesOf(reply?.messages ?? []),
  };
}

export function toEventLink({ id, message }) {
  return element("li", {}, element("a", { href: `#${id}` }, message.name));
}

export function toEventDetails(events, event) {
  const { id, action, message, channel, summary } = event;
  const details = element(
    "details",
    { className: "call", id },
    element(
      "summary",
      {},
      element("span", { className: `method ${action === "send" ? "get" : "post"}` }, action === "send" ? "on" : "emit"),
      element("span", { className: "path" }, message.name),
      element("span", { className: "quiet" }, prose(channel.address === "/socket.io/" ? summary : channel.address)),
    ),
  );
  details.addEventListener("toggle", () => details.append(toBody(events, event)), { once: true });
  return details;
}

function toBody(events, { channel, message, answers }) {
  const isSocket = channel.address === "/socket.io/";
  return element(
    "div",
    {},
    element("h3", {}, isSocket ? "Argument" : "Data"),
    toPayload(events, message),
    answers.length > 0 ? element("h3", {}, "Acknowledgement") : [],
    answers.map((answer) => toPayload(events, answer)),
  );
}

/** A table for each form of the payload, then an example. */
function toPayload(events, { payload, examples }) {
  const schema = resolve(events, payload);
  const forms = schema.oneOf ?? schema.anyOf ?? [schema];
  return [
    forms.map((form) => toTable(events, form)),
    examples ? element("pre", {}, JSON.stringify(examples[0].payload, null, 2)) : [],
  ];
}

function toTable(events, form) {
  const rows = fieldsOf(events, form).map(({ path, type, isRequired, text }) => ({
    cells: [element("code", {}, path), type, isRequired ? "required" : "", element("span", {}, prose(text))],
  }));
  return rows.length > 0
    ? table(["Field", "Type", "", ""], rows)
    : element("p", {}, element("code", {}, typeOf(events, form)));
}
