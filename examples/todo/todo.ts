import { z } from "zod";
import { openTable } from "../shared/table.ts";

export const todoId = z.uuid();
export const newTodo = z.strictObject({ title: z.string().min(1).max(256), completed: z.boolean() });
export const todo = newTodo.extend({ id: todoId });

export const todos = openTable<z.output<typeof todo>>("todos");

export type Callback = (answer: { data?: unknown; error?: string; errorDetails?: object[] }) => void;

/** The answer to what a schema refused. */
export const invalid = ({ issues }: z.ZodError) => ({
  error: "invalid payload",
  errorDetails: issues.map(({ path, message }) => ({ path, message })),
});

export const notFound = { error: "entity not found" };
