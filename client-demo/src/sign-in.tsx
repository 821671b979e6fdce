import { useSignal } from "@preact/signals";
import { messageOf } from "./model/attempt.ts";
import { type Login, signIn } from "./model/login.ts";
import { Alert } from "./parts/alert.tsx";
import { Wordmark } from "./parts/wordmark.tsx";

/** Accepts any name: this page exists in development only. */
export function SignIn({ onLogin }: { onLogin: (login: Login) => void }) {
  const name = useSignal(new URLSearchParams(location.search).get("as") ?? "");
  const isBusy = useSignal(false);
  const error = useSignal<string | undefined>(undefined);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    isBusy.value = true;
    error.value = undefined;
    try {
      onLogin(await signIn(name.value.trim()));
    } catch (failure) {
      error.value = messageOf(failure);
    } finally {
      isBusy.value = false;
    }
  }

  return (
    <main class="sign-in">
      <form class="card sign-in-card" onSubmit={(event) => void submit(event)}>
        <h1>
          <Wordmark />
        </h1>
        <p class="lead">
          Publish something, cut the connection, and watch every missed publication come back in order.
        </p>
        <label class="field">
          <span>Your name</span>
          <input
            name="name"
            autocomplete="username"
            maxLength={64}
            placeholder="ada"
            required
            autofocus
            value={name}
            onInput={(event) => (name.value = event.currentTarget.value)}
          />
        </label>
        <button class="primary" type="submit" disabled={isBusy.value || name.value.trim() === ""}>
          {isBusy.value ? "Signing in…" : "Sign in"}
        </button>
        <Alert text={error.value} />
        <p class="hint">No password: this page is for trying the gateway on your own machine.</p>
      </form>
    </main>
  );
}
