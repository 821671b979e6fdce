/**
 * Posts to an app over keep-alive connections, and nothing else: `bare-posts.ts <port of the app> <connections>`. Each line
 * on its input is a number of milliseconds; it posts for so long and prints how many posts were answered.
 */
import { createInterface } from "node:readline";
import { createBarePost } from "../support/bare-post.ts";
import { forwardedEvent } from "../support/forwarded-event.ts";

const [port = 0, connections = 1] = process.argv.slice(2).map(Number);
const post = createBarePost(port, connections);

async function postFor(milliseconds: number): Promise<number> {
  const end = Date.now() + milliseconds;
  let count = 0;
  const postOneByOne = async (): Promise<void> => {
    for (; Date.now() < end; count += 1) await post(forwardedEvent);
  };
  await Promise.all(Array.from({ length: connections }, postOneByOne));
  return count;
}

for await (const line of createInterface({ input: process.stdin })) console.log(await postFor(Number(line)));
process.exit();
