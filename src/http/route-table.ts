import { GatewayError } from "../protocol/errors.ts";
import { wrong } from "../protocol/parse-with.ts";
import { HttpRefusal } from "./problem.ts";
import type { Route } from "./route.ts";

/** All calls that share one path. */
export interface Endpoint {
  /** `/v1/channels/{channel}/history`: also the label of metrics and logs. */
  readonly template: string;
  readonly segments: readonly string[];
  readonly routes: ReadonlyMap<string, Route>;
}

/** Finds the endpoint of a path. Paths are compared as they were sent: no dots, slashes or letters are evened out. */
export type FindEndpoint = (pathname: string) => Endpoint | undefined;

export function createRouteTable(routes: readonly Route[]): FindEndpoint {
  const endpoints = [...Map.groupBy(routes, (route) => route.path)].map(toEndpoint);
  const fixed = new Map(endpoints.filter(isFixed).map((endpoint) => [endpoint.template, endpoint]));
  const open = endpoints.filter((endpoint) => !isFixed(endpoint));

  return (pathname) => {
    const known = fixed.get(pathname);
    if (known !== undefined) return known;
    const segments = pathname.split("/");
    return open.find((endpoint) => matches(endpoint, segments));
  };
}

function toEndpoint([template, routes]: [string, Route[]]): Endpoint {
  const byMethod = new Map(routes.map((route) => [route.method.toUpperCase(), route]));
  const get = byMethod.get("GET");
  if (get !== undefined) byMethod.set("HEAD", get);
  return { template, segments: template.split("/"), routes: byMethod };
}

const isParameter = (segment: string): boolean => segment.startsWith("{");
const isFixed = (endpoint: Endpoint): boolean => !endpoint.segments.some(isParameter);

function matches({ segments }: Endpoint, sent: readonly string[]): boolean {
  return (
    segments.length === sent.length &&
    segments.every((segment, index) => isParameter(segment) || segment === sent[index])
  );
}

/** The route of a method; throws 404 if the path does not exist and 405 if it does not have the method. */
export function routeFor(endpoint: Endpoint | undefined, method: string): Route {
  if (endpoint === undefined) throw new GatewayError("not_found", "This path does not exist.");
  const route = endpoint.routes.get(method);
  if (route === undefined) throw wrongMethod([...endpoint.routes.keys()]);
  return route;
}

export function wrongMethod(allowed: readonly string[]): HttpRefusal {
  const methods = allowed.join(", ");
  const error = new GatewayError("method_not_allowed", `This path supports only ${methods}.`);
  return new HttpRefusal(error, 405, { Allow: methods });
}

/** Decodes the parameters of a path, each by itself, so that `%2F` inside one does not end it. */
export function paramsOf({ segments }: Endpoint, pathname: string): Record<string, string> {
  const sent = pathname.split("/");
  const params: Record<string, string> = {};
  segments.forEach((segment, index) => {
    if (!isParameter(segment)) return;
    const name = segment.slice(1, -1);
    params[name] = decode(name, sent[index] ?? "");
  });
  return params;
}

function decode(name: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw wrong(name, "is not well-formed percent-encoded UTF-8");
  }
}
