import { exitCodes, type Host } from "./host.ts";

/** Ctrl-C under npm comes twice within a moment: from the terminal, and from npm, which passes it on. */
const sameSignalMs = 100;

/** Calls `begin` on the first request to end; a second one ends the process at once. */
export function onRequestToEnd(host: Pick<Host, "onSignal" | "exit">, begin: (signal: string) => void): void {
  let first: { signal: string; at: number } | undefined;
  host.onSignal((signal) => {
    const at = performance.now();
    if (first?.signal === signal && at - first.at < sameSignalMs) return;
    if (first !== undefined) return host.exit(exitCodes.failed);
    first = { signal, at };
    begin(signal);
  });
}
