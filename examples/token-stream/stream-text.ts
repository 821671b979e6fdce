import { setTimeout as pause } from "node:timers/promises";

interface TextPublication {
  channel: string;
  event: string;
  data: string | object;
}

/**
 * Publishes a text while it is generated, in order. Tokens of 50 milliseconds share a publication; `done` follows the
 * last of them.
 */
export async function streamText(
  publish: (publication: TextPublication) => Promise<unknown>,
  channel: string,
  tokens: AsyncIterable<string>,
): Promise<void> {
  let text = "";
  let isReading = true;
  const reading = (async () => {
    for await (const token of tokens) text += token;
  })().finally(() => (isReading = false));
  while (isReading || text !== "") {
    const data = text;
    text = "";
    if (data !== "") await publish({ channel, event: "token", data });
    await Promise.race([reading, pause(50)]);
  }
  await publish({ channel, event: "done", data: { reason: "stop" } });
}
