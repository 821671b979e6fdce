import express, { type Express, type RequestHandler, type Response } from "express";
import { z } from "zod";
import { parseWith } from "../protocol/parse-with.ts";
import { userId } from "../protocol/scalars.ts";
import type { ClientAddress } from "../runtime/client-address.ts";
import { onlyPost, refuseAllBut } from "./only-methods.ts";
import { sendJson } from "./problem.ts";
import { readJson } from "./request-body.ts";

/** A fresh login and its token. */
export interface DemoLogin {
  sessionId: string;
  token: string;
  expiresAt: number;
  /** The development API key, so that the page can show how a backend publishes. */
  apiKey?: string | undefined;
  /** The user's bucket of messages, so that the page can draw it. */
  messages?: { capacity: number; refillPerSecond: number; costs: Readonly<Record<string, number | undefined>> };
}

export interface Demo {
  /** Folder of the built page. */
  directory: string;
  /** Logs in under any name. Development only. */
  login?: ((name: string, address: string) => Promise<DemoLogin>) | undefined;
}

const loginBody = z.strictObject({ name: userId });

/** Serves the demo at `/demo/`, and its login if there is one. */
export function mountDemo(app: Express, demo: Demo, clientAddress: ClientAddress): void {
  if (demo.login !== undefined) onlyPost(app, "/demo/login", signIn(demo.login, clientAddress));
  mountPage(app, "/demo", demo.directory);
}

/** Serves a built page. */
export function mountPage(app: Express, path: string, directory: string): void {
  const files = express.static(directory, { dotfiles: "ignore", cacheControl: false, setHeaders: cacheFields });
  app.use(path, files).all(path, refuseAllBut("GET", "HEAD"));
}

function signIn(login: NonNullable<Demo["login"]>, clientAddress: ClientAddress): RequestHandler {
  return async (request, response) => {
    const { name } = parseWith(loginBody, await readJson(request));
    sendJson(response, 201, await login(name, clientAddress(request)));
  };
}

/** Built assets have a content hash in their names, so they never change; the page itself may change at any time. */
function cacheFields(response: Response, path: string): void {
  const isAsset = /[/\\]assets[/\\]/.test(path);
  response.setHeader("Cache-Control", isAsset ? "public, max-age=31536000, immutable" : "no-cache");
}
