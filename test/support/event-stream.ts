import { request, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { onTestFinished } from "vitest";
import { eventually } from "./world.ts";

/** One server-sent event. */
export interface ServerEvent {
  event: string;
  data: any;
  id: string;
}

/** A reader of server-sent events, as the standard describes them; closed when the test ends. */
export interface EventReader {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly events: readonly ServerEvent[];
  /** Of the last event that was read. */
  readonly lastEventId: string;
  readonly retryMs: number | undefined;
  readonly comments: number;
  readonly hasEnded: boolean;
  /** The argument of each event of this name. */
  named(event: string): any[];
  /** Resolves with the first event of this name. */
  first(event: string): Promise<any>;
  /** Cuts the connection, in the middle of what is being sent. */
  cut(): void;
  ended(): Promise<void>;
}

export async function readEvents(url: string, headers: Record<string, string> = {}): Promise<EventReader> {
  // Not `fetch`, which opens a connection to spare when one is cut.
  const sent = request(url, { headers, agent: false });
  onTestFinished(() => void sent.destroy());
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.once("response", resolve).once("error", reject).end();
  });
  const state = { events: [] as ServerEvent[], id: "", retryMs: undefined as number | undefined, comments: 0 };
  let hasEnded = false;
  const reading = response.statusCode === 200 ? read(response, state) : Promise.resolve(void response.resume());
  const done = reading.catch(() => undefined).finally(() => (hasEnded = true));
  const named = (event: string): any[] => state.events.filter((each) => each.event === event).map(({ data }) => data);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    events: state.events,
    get lastEventId() {
      return state.id;
    },
    get retryMs() {
      return state.retryMs;
    },
    get comments() {
      return state.comments;
    },
    get hasEnded() {
      return hasEnded;
    },
    named,
    first: (event) =>
      eventually(() => {
        const [found] = named(event);
        if (found === undefined) throw new Error(`no event ${event}: ${JSON.stringify(state.events)}`);
        return found;
      }),
    cut: () => void sent.destroy(),
    ended: () => done.then(() => undefined),
  };
}

interface Reading {
  events: ServerEvent[];
  id: string;
  retryMs: number | undefined;
  comments: number;
}

async function read(response: IncomingMessage, state: Reading): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response as AsyncIterable<Buffer>) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split("\n\n");
    text = blocks.pop() as string;
    for (const block of blocks) take(block, state);
  }
}

function take(block: string, state: Reading): void {
  const fields = new Map(
    block.split("\n").map((line) => /^([^:]*):? ?(.*)$/s.exec(line)?.slice(1) as [string, string]),
  );
  if (fields.has("")) state.comments += 1;
  if (fields.has("retry")) state.retryMs = Number(fields.get("retry"));
  if (fields.has("id")) state.id = fields.get("id") as string;
  const data = fields.get("data");
  if (data !== undefined)
    state.events.push({ event: fields.get("event") ?? "message", data: JSON.parse(data), id: state.id });
}
