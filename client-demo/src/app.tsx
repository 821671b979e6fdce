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

/** Ends the session too; without a connection it ends when it expires. */
function end(): void {
  const demo = current.value;
  rememberLogin(undefined);
  current.value = undefined;
  if (demo === undefined) return;
  const late = new Promise((resolve) => setTimeout(resolve, signOutMs));
  const revoked = demo.client.sessions.revoke(demo.login.sessionId).catch(() => undefined);
  void Promise.race([revoked, late]).then(() => demo.stop());
}

/** Max milliseconds until the connection is closed. */
const signOutMs = 2_000;

const remembered = rememberedLogin();
if (remembered !== undefined) begin(remembered);
