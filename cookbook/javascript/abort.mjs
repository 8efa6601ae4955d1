// A signal is passed to each function that can be aborted.
import { setTimeout as sleep } from "node:timers/promises";

async function work(signal) {
  try {
    for (;;) await sleep(20, undefined, { signal });
  } finally {
    console.log("cleaned up");
  }
}

const controller = new AbortController();
setTimeout(() => controller.abort("the user has left"), 50);
try {
  await work(controller.signal);
} catch {
  console.log(`aborted: ${controller.signal.reason}`);
}
