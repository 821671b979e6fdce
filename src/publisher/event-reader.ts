/** One server-sent event; its data is JSON. */
export interface ServerEvent {
  event: string;
  data: unknown;
  id: string | undefined;
}

/** A gateway sends a comment every 15 s; a stream that is silent for longer than this is dead. */
const maxSilenceMs = 45_000;

/** Ends when the stream ends, fails, has been silent for too long, or is aborted. */
export async function* readServerEvents(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent, void, undefined> {
  const reader = body.getReader();
  const cancel = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", cancel, { once: true });
  try {
    for await (const block of blocksOf(reader, cancel)) {
      const event = eventIn(block);
      if (event !== undefined) yield event;
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}

type ByteReader = ReadableStreamDefaultReader<Uint8Array>;

/** The texts between empty lines. */
async function* blocksOf(reader: ByteReader, cancel: () => void): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const bytes = await readWithin(reader, cancel);
    if (bytes === undefined) return;
    const blocks = (text + decoder.decode(bytes, { stream: true })).split("\n\n");
    text = blocks.pop() as string;
    yield* blocks;
  }
}

/** Undefined at the end, which may be a failure. */
async function readWithin(reader: ByteReader, cancel: () => void): Promise<Uint8Array | undefined> {
  const timer = setTimeout(cancel, maxSilenceMs);
  try {
    return (await reader.read()).value;
  } catch {
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

/** Undefined for a comment or a `retry`. */
function eventIn(block: string): ServerEvent | undefined {
  let [event, id, data]: [string, string | undefined, string | undefined] = ["message", undefined, undefined];
  for (const line of block.split("\n")) {
    if (line.startsWith("event: ")) event = line.slice(7);
    else if (line.startsWith("id: ")) id = line.slice(4);
    else if (line.startsWith("data: ")) data = line.slice(6);
  }
  return data === undefined ? undefined : { event, data: JSON.parse(data) as unknown, id };
}
