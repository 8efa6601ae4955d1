// A promise runs from the moment of the call.
async function say(text) {
  console.log(text);
}

const first = say("1: the call has run it");
console.log("2: nothing was awaited yet");
await first;
