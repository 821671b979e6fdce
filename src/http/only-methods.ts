import type { RequestHandler, Router } from "express";
import { wrongMethod } from "./route-table.ts";

/** Answers GET and HEAD of a path, and names them to any other method. */
export function onlyGet(app: Router, path: string, handle: RequestHandler): void {
  app.route(path).get(handle).all(refuseAllBut("GET", "HEAD"));
}

/** Answers POST of a path, and names it to any other method. */
export function onlyPost(app: Router, path: string, handle: RequestHandler): void {
  app.route(path).post(handle).all(refuseAllBut("POST"));
}

const refuseAllBut =
  (...allowed: string[]): RequestHandler =>
  (_request, _response, next) =>
    next(wrongMethod(allowed));
