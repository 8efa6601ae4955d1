// A computation in a thread of its own. It has its own heap, so data is copied.
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";

function countPrimes(limit) {
  let count = 0;
  for (let n = 2; n < limit; n++) {
    let d = 2;
    while (d * d <= n && n % d !== 0) d++;
    if (d * d > n) count++;
  }
  return count;
}

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url), { workerData: 20000 });
  const count = await new Promise((resolve, reject) => worker.on("message", resolve).on("error", reject));
  console.log(`${count} primes`);
} else {
  parentPort.postMessage(countPrimes(workerData));
}
