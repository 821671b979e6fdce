import { useRef } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { messageOf } from "../model/attempt.ts";
import { type BackendCall, callBackend, curlLine } from "../model/backend.ts";
import type { Demo } from "../model/demo.ts";
import type { Panel } from "../view.ts";
import { Alert } from "../parts/alert.tsx";
import { CopyButton } from "../parts/copy-button.tsx";
import { shownView } from "../views.ts";

export const curlPanel: Panel = { id: "curl", title: "From a terminal", View: CurlView };

/** A backend call for the current view, as a curl command to copy, and a button that makes the call. */
function CurlView({ demo }: { demo: Demo }) {
  const code = useRef<HTMLElement>(null);
  const call = shownView(demo).call(demo);
  const line = curlLine(demo.login.apiKey ?? "<your API key>", call);
  return (
    <>
      <pre class="code" tabIndex={0} aria-label="Command">
        <code ref={code}>{line}</code>
      </pre>
      <div class="row">
        <CopyButton text={line} selects={() => code.current} />
        {demo.login.apiKey !== undefined && <RunHere apiKey={demo.login.apiKey} call={call} key={line} />}
      </div>
      {demo.login.apiKey === undefined && <p class="hint">The start of the gateway printed the key.</p>}
    </>
  );
}

function RunHere({ apiKey, call }: { apiKey: string; call: BackendCall }) {
  const answer = useSignal<string | undefined>(undefined);
  const error = useSignal<string | undefined>(undefined);

  async function run(): Promise<void> {
    answer.value = error.value = undefined;
    try {
      answer.value = JSON.stringify(await callBackend(apiKey, call));
    } catch (failure) {
      error.value = messageOf(failure);
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
