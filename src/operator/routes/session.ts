import { route, type Route } from "../../http/route.ts";
import { operatorAnswer, signInBody, signOutAnswer } from "../../protocol/operator/operator.ts";
import { signOutCookie, type Operators } from "../operators.ts";

const path = "/v1/operator/session";
/** A cookie is not kept for a retry. */
const common = { path, tag: "Operators", ignoresKey: true } as const;

/** Signing in and out of the console. */
export function createOperatorSessionRoutes({ signIn }: Pick<Operators, "signIn">): Route[] {
  return [
    route(
      {
        ...common,
        method: "post",
        operationId: "operatorSignIn",
        summary: "Sign in to the console.",
        description: "Sets a cookie for this path. Wrong secrets are limited by address.",
        access: "open",
        status: 201,
        body: signInBody,
        answer: operatorAnswer,
      },
      async ({ body, address, isSecure }) => {
        const { cookie, ...operator } = await signIn(body, { address, isSecure });
        return { headers: { "Set-Cookie": cookie }, body: operator };
      },
    ),
    route(
      {
        ...common,
        method: "get",
        operationId: "readOperator",
        summary: "Who is signed in, and with which role.",
        access: "operator",
        answer: operatorAnswer,
      },
      async ({ apiKey: name, role }) => ({ body: { name, role } }),
    ),
    route(
      {
        ...common,
        method: "delete",
        operationId: "operatorSignOut",
        summary: "Sign out of the console.",
        access: "operator",
        answer: signOutAnswer,
      },
      async () => ({ headers: { "Set-Cookie": signOutCookie }, body: { signedOut: true } }),
    ),
  ];
}
