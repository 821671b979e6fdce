import type { RequestHandler, Router } from "express";
import { GatewayError } from "../protocol/errors.ts";
import { HttpRefusal } from "./problem.ts";

/** Answers GET and HEAD of a path, and names them to any other method. */
export function onlyGet(app: Router, path: string, handle: RequestHandler): void {
  app.route(path).get(handle).all(refuseAllBut("GET", "HEAD"));
}

/** Answers POST of a path, and names it to any other method. */
export function onlyPost(app: Router, path: string, handle: RequestHandler): void {
  app.route(path).post(handle).all(refuseAllBut("POST"));
}

export function wrongMethod(allowed: readonly string[]): HttpRefusal {
  const methods = allowed.join(", ");
  const error = new GatewayError("method_not_allowed", `This path supports only ${methods}.`);
  return new HttpRefusal(error, 405, { Allow: methods });
}

/** Answers any other method with 405 and the allowed ones. */
export const refuseAllBut =
  (...allowed: string[]): RequestHandler =>
  (_request, _response, next) =>
    next(wrongMethod(allowed));
