import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { createOperators } from "../../src/operator/operators.ts";
import { bearer } from "../../src/protocol/bearer.ts";
import { systemClock } from "../../src/runtime/clock.ts";

test("an operator's secret may have letters beyond ASCII, sent as the UTF-8 that curl sends", async () => {
  const secret = "schlüssel→ of at least thirty-two bytes";
  const operators = createOperators({
    operators: [{ name: "ada", secret, role: "viewer" }],
    login: () => Promise.reject(new Error("counted as a failure")),
    clock: systemClock,
  });
  const request = { headers: { authorization: bearer(secret) } } as IncomingMessage;

  expect(await operators.authenticate(request, "10.0.0.1")).toMatchObject({ name: "ada" });
});
