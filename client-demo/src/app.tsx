import { signal } from "@preact/signals";
import { createDemo, type Demo } from "./model/demo.ts";
import { type Login, rememberedLogin, rememberLogin } from "./model/login.ts";
import { SignIn } from "./sign-in.tsx";
import { Workspace } from "./workspace.tsx";

/** Shows the sign-in page or the signed-in user's workspace. */
export function App() {
  const demo = current.value;
  return demo === undefined ? <SignIn onLogin={begin} /> : <Workspace demo={demo} onSignOut={end} />;
}

const current = signal<Demo | undefined>(undefined);

function begin(login: Login): void {
  rememberLogin(login);
  current.value = createDemo(login);
}

function end(): void {
  current.value?.stop();
  rememberLogin(undefined);
  current.value = undefined;
}

const remembered = rememberedLogin();
if (remembered !== undefined) begin(remembered);
