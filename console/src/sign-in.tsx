import { useState } from "preact/hooks";
import { signIn } from "./session.ts";

export function SignIn() {
  const [error, setError] = useState<string>();
  const [isBusy, setBusy] = useState(false);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    const fields = new FormData(event.target as HTMLFormElement);
    setBusy(true);
    try {
      await signIn(String(fields.get("name")), String(fields.get("secret")));
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
