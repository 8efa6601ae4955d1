// Lines of a stream, one after the other.
import { createInterface } from "node:readline";
import { Readable } from "node:stream";

const source = Readable.from(["GET /\nGET /ab", "out\nPOST /login\n"]);
let count = 0;
for await (const line of createInterface({ input: source })) {
  console.log(line.toLowerCase());
  count++;
}
console.log(`${count} lines`);
