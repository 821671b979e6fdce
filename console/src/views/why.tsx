import { useState } from "preact/hooks";
import { messageOf, post } from "../api.ts";
import { textsOf } from "../form.ts";
import { Card } from "../parts.tsx";
import { Refusals, RefusalTable, type Refusal } from "./refusals.tsx";

interface Answer {
  allowed: boolean;
  code?: string;
  userId?: string;
  steps: { step: string; ok: boolean; detail: string }[];
  refusals: Refusal[];
}

export function WhyView() {
  const [answer, setAnswer] = useState<Answer>();
  const [error, setError] = useState<string>();
  const [query, setQuery] = useState<Record<string, string>>({});

  async function ask(event: Event): Promise<void> {
    const { by = "token", subject = "", act, channel = "" } = textsOf(event);
    const body = { [by]: subject, act, ...(channel === "" ? {} : { channel }) };
    try {
      setAnswer(await post<Answer>("why", body));
      setError(undefined);
    } catch (failure) {
      setAnswer(undefined);
      setError(messageOf(failure));
    }
  }
  const filter = (event: Event): void => setQuery(textsOf(event));
  return (
    <>
      <Card title="May it connect, subscribe, publish?">
        <form class="search" onSubmit={(event) => void ask(event)}>
          <label>
            by{" "}
            <select name="by" aria-label="by">
              <option value="token">token</option>
              <option value="userId">user</option>
              <option value="sessionId">session</option>
            </select>
          </label>
          <label class="wide">
            token or id <input name="subject" required autocomplete="off" />
          </label>
          <label>
            act{" "}
            <select name="act" aria-label="act">
              <option>subscribe</option>
              <option>publish</option>
            </select>
          </label>
          <label>
            channel <input name="channel" placeholder="only connect" />
          </label>
          <button>Explain</button>
        </form>
        {error !== undefined && (
          <p class="alert" role="alert">
            {error}
          </p>
        )}
        {answer !== undefined && <Explained answer={answer} />}
      </Card>
      <Card title="Last refusals and closings">
        <form class="search" role="search" onSubmit={filter}>
          <label>
            user <input name="user" />
          </label>
          <label>
            address <input name="address" />
          </label>
          <label>
            code <input name="code" />
          </label>
          <label>
            where{" "}
            <select name="kind" aria-label="kind">
              <option value="">anywhere</option>
              <option>handshake</option>
              <option>event</option>
              <option>http</option>
              <option>closing</option>
            </select>
          </label>
          <button>Filter</button>
        </form>
        <Refusals query={query} />
      </Card>
    </>
  );
}

function Explained({ answer: { allowed, code, steps, refusals } }: { answer: Answer }) {
  return (
    <div role="status">
      <p>
        <span class={`badge ${allowed ? "ready" : "unavailable"}`}>{allowed ? "allowed" : `refused: ${code}`}</span>
      </p>
      <ol class="steps">
        {steps.map(({ step, ok, detail }) => (
          <li key={step} class={ok ? "" : "is-wrong"}>
            <strong>
              {ok ? "✓" : "✗"} {step}
            </strong>{" "}
            {detail}
          </li>
        ))}
      </ol>
      {refusals.length > 0 && <RefusalTable refusals={refusals} />}
    </div>
  );
}
