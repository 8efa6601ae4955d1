// An error that no code looks at. Without this handler, Node ends the process with code 1.
process.on("unhandledRejection", (error) => console.log(`unhandled: ${error.message}`));

async function job() {
  throw new Error("no such page");
}

job();
setTimeout(() => console.log("the program goes on"), 20);
