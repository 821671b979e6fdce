/** What the address of one server says. */
export interface RedisUrl {
  isTls: boolean;
  /** Without the brackets of an IPv6 address. */
  host: string;
  port: number;
  /** Of a Unix socket, which is then used instead of host and port. */
  path?: string;
  username?: string;
  password?: string;
  db?: number;
  family?: 0 | 4 | 6;
}

export const defaultRedisPort = 6_379;

const schemes = ["redis:", "rediss:", "unix:", "redis+unix:"];

/** What may stand behind the question mark, as other clients write it. */
const understoodQuery = ["db", "family"];

/** A form that `URL` reads: it takes no user and password without a host. */
export const withHost = (text: string): string =>
  text.replace(/^((?:redis\+)?unix:\/\/(?:[^/]*@)?)\//i, "$1localhost/");

/**
 * Reads `redis://`, `rediss://` or `unix://` with user, password and database. Throws an Error whose message says what
 * is wrong and never quotes the address, which may hold a password.
 */
export function parseRedisUrl(text: string): RedisUrl {
  const form = withHost(text);
  if (!URL.canParse(form) || !schemes.includes(new URL(form).protocol)) throw new Error(usage);
  const url = new URL(form);
  if (url.hostname === "") throw new Error(`has no host; ${usage}`);
  const unknown = [...url.searchParams.keys()].find((name) => !understoodQuery.includes(name));
  if (unknown !== undefined) throw new Error(`contains the unknown parameter ?${unknown}=`);
  return { ...placeOf(url), ...loginOf(url), ...queryOf(url) };
}

const usage =
  "must be redis://host:port, rediss://host:port for TLS, unix:///path, or a comma-separated list for a Cluster";

function placeOf(url: URL): Pick<RedisUrl, "isTls" | "host" | "port" | "path" | "db"> {
  const host = url.hostname.replace(/^\[(.+)\]$/, "$1");
  const isTls = url.protocol === "rediss:";
  const port = Number(url.port || defaultRedisPort);
  if (url.protocol.endsWith("unix:")) return { isTls, host, port, path: decoded(url.pathname) };
  const db = url.pathname.replace(/^\//, "");
  return db === "" ? { isTls, host, port } : { isTls, host, port, db: databaseOf(db) };
}

function loginOf({ username, password }: URL): Pick<RedisUrl, "username" | "password"> {
  return {
    ...(username === "" ? {} : { username: decoded(username) }),
    ...(password === "" ? {} : { password: decoded(password) }),
  };
}

function queryOf({ searchParams }: URL): Pick<RedisUrl, "db" | "family"> {
  const [db, family] = [searchParams.get("db"), searchParams.get("family")];
  if (family !== null && !["0", "4", "6"].includes(family)) throw new Error("must have family=0, 4 or 6");
  return {
    ...(db === null ? {} : { db: databaseOf(db) }),
    ...(family === null ? {} : { family: Number(family) as 0 | 4 | 6 }),
  };
}

function databaseOf(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new Error("must end with a database number, such as /2");
  return Number(text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new Error("contains a % that is not followed by two hexadecimal digits in its user, password or path");
  }
}
