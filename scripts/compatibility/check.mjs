/**
 * Run by each version of Node in plain JavaScript: uses one library against a gateway and prints what it found.
 * Arguments: what to check, the module, the folder it is required from, the gateway's URL, its API key.
 */
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";

const [, , check, name, folder, url, apiKey] = process.argv;
const library = createRequire(`${folder}/`)(name);
const channel = `chat:${randomUUID()}`;

async function call(path, body) {
  const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
  const response = await fetch(`${url}/v1${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

const signIn = async () => (await call("/sessions", { userId: "ada" })).token;
const publish = (data) => call("/publish", { channel, event: "e", data });

/** Resolves when `numbers` has three entries, and fails if these are not one, two and three. */
async function expectAll(numbers) {
  while (numbers.length < 3) await new Promise((resolve) => setTimeout(resolve, 10));
  if (numbers.join() !== "1,2,3") throw new Error(`received ${numbers}`);
}

const checks = {
  /** A stock client: subscribes, is cut off, and recovers what was published meanwhile. */
  async "socket.io-client"({ io }) {
    const socket = io(url, { auth: { token: await signIn() }, forceNew: true, reconnectionDelay: 50 });
    const ask = (event, argument) => new Promise((resolve) => socket.emit(event, argument, resolve));
    const numbers = [];
    let position;
    const read = ({ epoch, offset, data }) => {
      numbers.push(data);
      position = { epoch, offset };
    };
    socket.on("publication", read);
    await new Promise((resolve) => socket.once("ready", resolve));
    const { epoch, offset } = await ask("subscribe", { channel });
    position = { epoch, offset };
    await publish(1);
    while (numbers.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    let how = "by Socket.IO";
    const back = new Promise((resolve, reject) => {
      socket.once("connect", async () => {
        // Versions before 4.6 do not know recovery.
        if (socket.recovered) return resolve();
        how = "by position";
        const { recovered, publications } = await ask("subscribe", { channel, since: position });
        if (!recovered) return reject(new Error("not recovered"));
        publications.forEach(read);
        resolve();
      });
    });
    socket.io.engine.close();
    await publish(2);
    await back;
    await publish(3);
    await expectAll(numbers);
    return `recovers ${how}`;
  },

  async "@tidegate/client"({ connect }) {
    const client = connect(url, { token: signIn, backoff: { minDelayMs: 50, maxDelayMs: 50 } });
    const numbers = [];
    const followed = client.channel(channel);
    followed.on("publication", ({ data }) => numbers.push(data));
    await followed.subscribe();
    await publish(1);
    client.socket.io.engine.close();
    await publish(2);
    await publish(3);
    await expectAll(numbers);
    return "works";
  },

  async "@tidegate/publisher"({ createPublisher, overHttp }) {
    const publisher = createPublisher(overHttp({ url, apiKey }));
    const publication = { channel, event: "e", data: 1, idempotencyKey: "once" };
    const [first, second] = [await publisher.publish(publication), await publisher.publish(publication)];
    if (first.offset !== 1 || second.offset !== 1 || !second.duplicate) throw new Error(JSON.stringify(second));
    return "works";
  },
};

setTimeout(() => fail(new Error("timed out")), 30_000).unref();
checks[check](library).then((found) => {
  process.stdout.write(found);
  process.exit(0);
}, fail);

function fail(error) {
  process.stderr.write(String(error));
  process.exit(1);
}
