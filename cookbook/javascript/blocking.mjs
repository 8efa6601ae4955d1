// A loop that computes stops the event loop: no timer, no request.
let beats = 0;
const heart = setInterval(() => beats++, 5);
await new Promise((resolve) => setTimeout(resolve, 20));
const before = beats;
for (const end = Date.now() + 300; Date.now() < end; );
console.log(`the heart beat meanwhile: ${beats > before}`);
clearInterval(heart);
