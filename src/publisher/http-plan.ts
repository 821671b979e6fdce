import type { Command, CommandOf } from "../protocol/commands.ts";
import { subjectOf } from "./subject.ts";

/** One HTTP call, and the places of the commands it carries. */
export interface Call {
  method: "POST" | "PUT" | "DELETE";
  path: string;
  body: object | undefined;
  places: number[];
  /** True where the answer holds a result for each place. */
  isBatch: boolean;
}

/** Limits of one batch; what is larger becomes several. */
const mostPerBatch = 1_000;
const mostBatchCharacters = 250_000;

/**
 * Calls that wait for each other stand in one lane: batches of publications, and what concerns the same order, member,
 * session or user. So each subject's commands arrive in the order in which they were handed in.
 */
export function planCalls(commands: readonly Command[]): Call[][] {
  const lanes = new Map<string, Call[]>();
  const batches: Call[] = [];
  let characters = 0;

  function addToBatch({ type: _type, ...publication }: CommandOf<"publish">, place: number): void {
    const size = JSON.stringify(publication).length;
    const last = batches.at(-1);
    if (last !== undefined && last.places.length < mostPerBatch && characters + size <= mostBatchCharacters) {
      (last.body as { publications: object[] }).publications.push(publication);
      last.places.push(place);
      characters += size;
      return;
    }
    characters = size;
    const body = { publications: [publication] };
    batches.push({ method: "POST", path: "/v1/publish/batch", body, places: [place], isBatch: true });
  }

  for (const [place, command] of commands.entries()) {
    if (command.type === "publish") addToBatch(command, place);
    else {
      const subject = subjectOf(command);
      const lane = lanes.get(subject) ?? [];
      lane.push({ ...callOf(command), places: [place], isBatch: false });
      lanes.set(subject, lane);
    }
  }
  return batches.length === 0 ? [...lanes.values()] : [batches, ...lanes.values()];
}

type Single = Exclude<Command, { type: "publish" }>;

function callOf(command: Single): Pick<Call, "method" | "path" | "body"> {
  switch (command.type) {
    case "order.create": {
      const { type: _type, ...body } = command;
      return { method: "POST", path: "/v1/orders", body };
    }
    case "order.event": {
      const { type: _type, orderId, ...body } = command;
      return { method: "POST", path: `/v1/orders/${encodeURIComponent(orderId)}/events`, body };
    }
    case "order.signal": {
      const { type: _type, orderId, ...body } = command;
      return { method: "POST", path: `/v1/orders/${encodeURIComponent(orderId)}/signals`, body };
    }
    case "score.submit": {
      const { type: _type, board, member, ...body } = command;
      const path = `/v1/leaderboards/${encodeURIComponent(board)}/scores/${encodeURIComponent(member)}`;
      return { method: "PUT", path, body };
    }
    // These two do no more when they are repeated, so they go without a key.
    case "session.revoke":
      return { method: "DELETE", path: `/v1/sessions/${encodeURIComponent(command.sessionId)}`, body: undefined };
    case "user.disconnect": {
      const { type: _type, userId, idempotencyKey: _key, ...body } = command;
      return { method: "POST", path: `/v1/users/${encodeURIComponent(userId)}/disconnect`, body };
    }
  }
}
