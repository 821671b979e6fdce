import { z } from "zod";
import { defineContract } from "../../src/protocol/contract/contract.ts";

/** A contract with everything that contracts have. */
export const contract = defineContract({
  events: {
    "todo:create": {
      input: z.object({ title: z.string().min(1), done: z.boolean().default(false) }),
      answer: z.object({ id: z.string() }),
    },
    move: z.strictObject({ x: z.number(), y: z.number() }),
  },
  channels: {
    chat: {
      said: z.object({ text: z.string().max(100), tags: z.array(z.string()).default([]) }),
      typing: z.object({ userId: z.string() }),
    },
    price: { changed: z.strictObject({ cents: z.int(), currency: z.enum(["EUR", "USD"]) }) },
  },
});

/** The configuration file of a gateway with this contract. */
export const contractFile = {
  channels: { chat: { subscribe: "public", publish: "public" }, price: { subscribe: "public" } },
};
