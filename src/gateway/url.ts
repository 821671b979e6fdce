/** Where a browser on this machine finds what listens there. */
export function urlOf(host: string, port: number): string {
  const isAnyHost = host === "0.0.0.0" || host === "::";
  return `http://${isAnyHost ? "localhost" : host}:${port}`;
}
