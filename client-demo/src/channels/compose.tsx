import { useSignal } from "@preact/signals";
import { TidegateError } from "../../../src/client/client.ts";
import { messageOf } from "../model/attempt.ts";
import type { Feed } from "../model/feed.ts";
import { Alert } from "../parts/alert.tsx";
import { duration, typedData } from "../parts/format.ts";

/** Publishes to the channel as this user; disabled in a channel that was refused. What was typed stays until it is published. */
export function Compose({ feed, isRefused }: { feed: Feed; isRefused: boolean }) {
  const typed = useSignal("");
  const event = useSignal("message");
  const error = useSignal<string | undefined>(undefined);
  const done = useSignal<string | undefined>(undefined);

  async function publish(submit: Event): Promise<void> {
    submit.preventDefault();
    const text = typed.value;
    const data = typedData(text);
    const begun = performance.now();
    error.value = done.value = undefined;
    typed.value = "";
    try {
      const { offset } = await feed.channel.publish(event.value, data, { retries: 3 });
      done.value = `Published at offset ${offset} in ${duration(performance.now() - begun)}`;
    } catch (failure) {
      error.value = explained(failure);
      if (typed.value === "") typed.value = text;
    }
  }

  return (
    <form class="compose" onSubmit={(submit) => void publish(submit)}>
      <fieldset class="compose-line" disabled={isRefused}>
        <legend class="hidden">Publish to {feed.name}</legend>
        <input
          class="compose-event"
          aria-label="Event"
          required
          maxLength={256}
          value={event}
          onInput={({ currentTarget }) => (event.value = currentTarget.value)}
        />
        <input
          class="compose-data"
          aria-label="Data: a text or JSON"
          placeholder="A text, or JSON"
          required
          autocomplete="off"
          value={typed}
          onInput={({ currentTarget }) => (typed.value = currentTarget.value)}
        />
        <button class="primary" type="submit">
          Publish
        </button>
      </fieldset>
      <Alert text={error.value} />
      <p class="hint" role="status">
        {done.value ?? "JSON goes out as JSON, anything else as { text }."}
      </p>
    </form>
  );
}

function explained(failure: unknown): string {
  const isForbidden = failure instanceof TidegateError && failure.code === "forbidden";
  return isForbidden
    ? `${messageOf(failure)} Perhaps only backends publish here: try the curl line.`
    : messageOf(failure);
}
