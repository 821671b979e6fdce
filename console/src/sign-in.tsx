import { useState } from "preact/hooks";
import { textsOf } from "./form.ts";
import { signIn } from "./session.ts";

export function SignIn() {
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);

  async function submit(event: Event): Promise<void> {
    const { name = "", secret = "" } = textsOf(event);
    setBusy(true);
    try {
      await signIn(name, secret);
    } catch (failure) {
      setError(failure instanceof Error ? failure.message : String(failure));
      setBusy(false);
    }
  }
  return (
    <main class="sign-in">
      <form class="card" onSubmit={(event) => void submit(event)}>
        <h1>Tidegate console</h1>
        <label>
          Name <input name="name" autocomplete="username" required autofocus />
        </label>
        <label>
          Secret <input name="secret" type="password" autocomplete="current-password" required />
        </label>
        {error !== undefined && (
          <p class="alert" role="alert">
            {error}
          </p>
        )}
        <button disabled={isBusy}>Sign in</button>
      </form>
    </main>
  );
}
