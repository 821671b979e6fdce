import { expect, test } from "vitest";
import { isOutage } from "../../src/redis/outage.ts";

const replyError = (message: string): Error => Object.assign(new Error(message), { name: "ReplyError" });

test.each([
  new Error("Connection is closed."),
  new Error("Command timed out"),
  new Error("All keys in the pipeline should belong to the same slots allocation group"),
  replyError("CLUSTERDOWN Hash slot not served"),
  replyError("READONLY You can't write against a read only replica."),
  Object.assign(new Error("write EPIPE"), { syscall: "write" }),
])("the store is away for the time being: %s", (error) => {
  expect(isOutage(error)).toBe(true);
});

test.each([replyError("ERR wrong number of arguments"), new TypeError("x is not a function"), "Connection is closed."])(
  "is a mistake, and no outage: %s",
  (error) => {
    expect(isOutage(error)).toBe(false);
  },
);
