// The first one wins. The other one goes on.
import { setTimeout as sleep } from "node:timers/promises";

async function ask(server, ms) {
  await sleep(ms);
  console.log(`${server} has done its work`);
  return server;
}

const slow = ask("slow", 200);
console.log(`winner: ${await Promise.race([ask("fast", 10), slow])}`);
await slow;
