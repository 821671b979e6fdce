/** Runs the servers of all examples: `examples-process.ts <server.ts or server.stock.ts> <name=port=Redis>...`. */
import "../../scripts/tidegate-source.ts";

const [, , file, ...examples] = process.argv;
for (const example of examples) {
  const [name, port, redis] = example.split("=");
  // Each reads its settings when it starts.
  Object.assign(process.env, { PORT: port, ...(redis && { REDIS_URL: redis }) });
  await import(`../../examples/${name}/${file}`);
}
process.stdout.write("started\n");
