/** Starts an example: `npm run example todo`; with `stock`, the original that was moved in: `npm run example todo stock`. */
import { existsSync, globSync } from "node:fs";
import { basename, dirname } from "node:path";
import "./tidegate-source.ts";

const [, , name = "", variant] = process.argv;
const root = new URL("..", import.meta.url);
/** Those with a package of their own start with `npm install && npm start` there. */
const files = globSync("examples/*/server.{ts,js}", { cwd: root }).filter(
  (path) => !existsSync(new URL(`${dirname(path)}/package.json`, root)),
);
const names = files.map((path) => basename(dirname(path))).toSorted();
const file =
  variant === "stock" ? `examples/${name}/server.stock.ts` : files.find((path) => basename(dirname(path)) === name);
if (!names.includes(name) || file === undefined || !existsSync(new URL(`../${file}`, import.meta.url))) {
  process.stderr.write(`Usage: npm run example NAME [stock]; the examples are ${names.join(", ")}.\n`);
  process.exit(64);
}
await import(new URL(`../${file}`, import.meta.url).href);
process.stdout.write(`The example is at http://localhost:${process.env["PORT"] ?? 3000}\n`);
