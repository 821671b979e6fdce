/** The two halves of a request's target, undecoded. */
export interface RequestTarget {
  pathname: string;
  search: string;
}

/** Also takes the absolute form (`http://host/path`), which servers must accept; the host in it decides nothing here. */
export function targetOf(url: string): RequestTarget {
  const path = url.startsWith("/") ? url : url.replace(/^https?:\/\/[^/?]*/i, "");
  const question = path.indexOf("?");
  return question === -1
    ? { pathname: path, search: "" }
    : { pathname: path.slice(0, question), search: path.slice(question + 1) };
}
