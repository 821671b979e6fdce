import { expect, test } from "vitest";
import { GatewayError } from "../../src/protocol/errors.ts";
import { isOutage } from "../../src/redis/outage.ts";
import { orRefusal, refusalOf, refusalWhileFenced } from "../../src/redis/refusals.ts";

const replyError = (message: string): Error => Object.assign(new Error(message), { name: "ReplyError" });

test.each([
  new Error("Connection is closed."),
  new Error("Command timed out"),
  new Error("All keys in the pipeline should belong to the same slots allocation group"),
  replyError("CLUSTERDOWN Hash slot not served"),
  replyError("READONLY You can't write against a read only replica."),
  Object.assign(new Error("write EPIPE"), { syscall: "write" }),
  replyError("NOPERM this user has no permissions to run the 'evalsha' command"),
  replyError(
    "ERR The user executing the script can't run this command or subcommand script: 0489, on @user_script:22.",
  ),
])("the store is away for the time being: %s", (error) => {
  expect(isOutage(error)).toBe(true);
});

test.each([
  replyError("ERR wrong number of arguments"),
  // Which the checks of the server can do without.
  replyError("NOPERM this user has no permissions to run the 'info' command"),
  replyError("NOPERM User gateway has no permissions to run the 'cluster|slots' command"),
  new TypeError("x is not a function"),
  "Connection is closed.",
])("is a mistake, and no outage: %s", (error) => {
  expect(isOutage(error)).toBe(false);
});

const forbidden = new GatewayError("forbidden");

test.each([
  { error: new Error("Connection is closed."), refusal: { code: "unavailable", retryAfterMs: 1_000 } },
  {
    error: replyError("NOREPLICAS Not enough good replicas"),
    refusal: { code: "writes_refused", retryAfterMs: 1_000 },
  },
  { error: new TypeError("x is not a function"), refusal: { code: "internal" } },
  { error: forbidden, refusal: forbidden },
])("is answered in the same way wherever it happens: $error.message", async ({ error, refusal }) => {
  expect(refusalOf(error)).toMatchObject(refusal);
  // Who comes in is not decided on an answer that cannot be read.
  const closed = refusal.code === "internal" ? { code: "unavailable" } : refusal;
  await expect(orRefusal(Promise.reject(error))).rejects.toMatchObject(closed);
});

test("is what a fenced node answers with, after why its heartbeat failed", () => {
  expect(refusalWhileFenced({ failure: undefined })).toMatchObject({ code: "unavailable", retryAfterMs: 1_000 });
  expect(refusalWhileFenced({ failure: replyError("OOM command not allowed") })).toMatchObject({
    code: "writes_refused",
    message: "Redis refuses writes: it is out of memory.",
  });
});
