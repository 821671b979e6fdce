import type { UserDataService } from "../../commands/user-data.ts";
import { userParams } from "../../protocol/sessions.ts";
import { userDataAnswer, userErased } from "../../protocol/users.ts";
import { route, type Route } from "../route.ts";

/** Everything kept of a user. */
export function createUserRoutes(userData: UserDataService): Route[] {
  const common = { path: "/v1/users/{userId}", tag: "Users", params: userParams } as const;
  const read = {
    ...common,
    method: "get",
    operationId: "getUser",
    summary: "Read everything that is kept of a user.",
    answer: userDataAnswer,
  } as const;
  const erase = {
    ...common,
    method: "delete",
    operationId: "eraseUser",
    summary: "Erase everything that is kept of a user, on every node.",
    description:
      "Ends the user's sessions, closes the connections, and removes scores, orders, scheduled publications, limits and the " +
      "history of the user's own channels. A repeat is harmless, and completes what a failure interrupted. " +
      "`docs/users.md` lists what expires by itself.",
    answer: userErased,
  } as const;

  return [
    route(read, async ({ params }) => ({ body: await userData.read(params.userId) })),
    route(erase, async ({ params }) => {
      const erased = await userData.erase(params.userId);
      return { body: erased, acted: erased.removed.presence };
    }),
  ];
}
