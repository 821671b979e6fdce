import { expect, test } from "vitest";
import { createQuotaAdmission } from "../../src/connections/quota-admission.ts";
import { GatewayError } from "../../src/protocol/errors.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { authenticateByList } from "../support/edge.ts";

test("a handshake that its client has given up does not close the connection of the one that followed", async () => {
  const evicted: string[] = [];
  let hasLeft = false;
  const authenticate = createQuotaAdmission({
    authenticator: {
      authenticate(token, _caller, onVerified) {
        onVerified("abcdefghijklmnop.abcdefghijklmnopqrstuv", "ann");
        // Redis is slow, and the client has connected to another node by now.
        hasLeft = true;
        return authenticateByList(token);
      },
    },
    quota: {
      take: () => Promise.reject(new GatewayError("connection_limit")),
      release: () => undefined,
    },
    recovery: { evictPrevious: async (privateId) => evicted.push(privateId) > 0 },
    cooldown: { start: () => undefined, check: () => undefined },
    clock: new FakeClock(),
  });

  const late = authenticate("ann:session-1:token-1", {
    userAgent: undefined,
    privateId: "past",
    hasLeft: () => hasLeft,
  });

  await expect(late).rejects.toMatchObject({ code: "connection_limit" });
  expect(evicted).toEqual([]);
});
