// Later, not at all, and again and again.
setTimeout(() => console.log("later"), 10);
const never = setTimeout(() => console.log("never"), 1000);
clearTimeout(never);
let ticks = 0;
const timer = setInterval(() => {
  if (++ticks === 3) {
    clearInterval(timer);
    console.log(`${ticks} ticks`);
  }
}, 30);
