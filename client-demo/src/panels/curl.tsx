import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { curlLine, type HttpPublish, publishByHttp } from "../model/backend.ts";
import type { Demo } from "../model/demo.ts";
import type { Panel } from "../panels.ts";
import { Alert } from "../parts/alert.tsx";
import { CopyButton } from "../parts/copy-button.tsx";

export const curlPanel: Panel = { id: "curl", title: "Publish from a terminal", View: CurlView };

/** A backend's side of things: the same publication as a line to paste, and a button for those without a terminal. */
function CurlView({ demo }: { demo: Demo }) {
  const code = useRef<HTMLElement>(null);
  const channel = demo.activeFeed.value?.name ?? "chat:lobby";
  const publication: HttpPublish = { channel, event: "message", data: { text: "Hello from curl" } };
  const line = curlLine(demo.login.apiKey ?? "<your API key>", publication);
  return (
    <>
      <pre class="code" tabIndex={0} aria-label="Command">
        <code ref={code}>{line}</code>
      </pre>
      <div class="row">
        <CopyButton text={line} selects={() => code.current} />
        {demo.login.apiKey !== undefined && <RunHere apiKey={demo.login.apiKey} publication={publication} />}
      </div>
      {demo.login.apiKey === undefined && <p class="hint">The start of the gateway printed the key.</p>}
    </>
  );
}

function RunHere({ apiKey, publication }: { apiKey: string; publication: HttpPublish }) {
  const answer = useSignal<string | undefined>(undefined);
  const error = useSignal<string | undefined>(undefined);

  async function run(): Promise<void> {
    answer.value = error.value = undefined;
    try {
      answer.value = await publishByHttp(apiKey, publication);
    } catch (failure) {
      error.value = failure instanceof Error ? failure.message : String(failure);
    }
  }

  return (
    <>
      <button type="button" onClick={() => void run()}>
        Run it here
      </button>
      <code class="answer" role="status">
        {answer}
      </code>
      <Alert text={error.value} />
    </>
  );
}
