/**
 * Merges metrics of several processes in Prometheus' text format, which requires all samples of a metric to be
 * adjacent. The label `node_id` distinguishes them.
 */
export function mergeMetrics(texts: readonly string[]): string {
  const metrics = new Map<string, { heading: string; samples: string[] }>();
  for (const { name, heading, samples } of texts.flatMap(metricsIn)) {
    const known = metrics.get(name) ?? { heading, samples: [] };
    metrics.set(name, known);
    known.samples.push(...samples);
  }
  return [...metrics.values()].map(({ heading, samples }) => [heading, ...samples, ""].join("\n")).join("\n");
}

interface Metric {
  name: string;
  /** Its lines `HELP` and `TYPE`. */
  heading: string;
  samples: string[];
}

function metricsIn(text: string): Metric[] {
  return text
    .split(/^(?=# HELP )/m)
    .filter((part) => part.startsWith("# HELP "))
    .map((part) => {
      const lines = part.split("\n").filter((line) => line !== "");
      const isHeading = (line: string): boolean => line.startsWith("# ");
      return {
        name: part.split(" ", 3)[2] ?? "",
        heading: lines.filter(isHeading).join("\n"),
        samples: lines.filter((line) => !isHeading(line)),
      };
    });
}
