// Three requests at once, and the results in their order.
import { setTimeout as sleep } from "node:timers/promises";

async function load(name, ms) {
  await sleep(ms);
  return name;
}

const [user, cart] = await Promise.all([load("user", 30), load("cart", 10)]);
console.log(user, cart);
const pages = await Promise.all([30, 10, 20].map((ms, i) => load(`page ${i}`, ms)));
console.log(pages.join(", "));
